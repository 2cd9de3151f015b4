"""What is said in the status of ValidatingAdmissionPolicies: `controller` watches, `checking` finds what expressions get wrong."""
