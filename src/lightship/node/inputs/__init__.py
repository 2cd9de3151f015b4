"""What a pod's spec refers to, made real: environment variables, ConfigMaps, Secrets, tokens, fields, volumes."""
