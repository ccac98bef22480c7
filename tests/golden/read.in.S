# glibc's read(): no room at the xor, but padding behind the ret.
	xor %eax, %eax
	syscall
	cmp $-4096, %rax
	ja 1f
	ret
	nopw 0x0(%rax,%rax,1)
1:	ret
	.fill 16, 1, 0x90
