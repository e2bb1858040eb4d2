"""OpenID Connect: what a provider is asked, and how what it says is proved."""
