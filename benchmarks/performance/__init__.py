"""How fast the service is: `aurum bench`, and single questions about its speed."""
