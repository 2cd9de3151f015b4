"""CertificateSigningRequests: recognised (`requests`), approved (`approver`), signed (`signer`, `authority`) and forgotten (`cleaner`)."""
