"""Who is proposed next."""
