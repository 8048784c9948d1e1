package daruma
