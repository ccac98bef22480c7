# At the very start of what can be read nothing stands before the syscall.
	syscall
	ret
