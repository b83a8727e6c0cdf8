"""What our figures are held against: each peer in one file, behind the same few methods. `make peers` installs them."""
