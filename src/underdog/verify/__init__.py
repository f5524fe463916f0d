"""Problems whose answers a program can judge, and the programs that judge them."""
