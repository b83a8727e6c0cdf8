"""Who a customer id is: its number, hence its partition, and its consents."""
