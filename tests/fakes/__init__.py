"""What the tests share: small stand-ins for spaces, studies, runs and data."""
