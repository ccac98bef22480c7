# glibc's read(): no room at the xor, but padding behind the ret.
	xor %eax, %eax
	syscall
	cmp $-4096, %rax
	ja 1f
	ret
	nopw 0x0(%rax,%rax,1)
1:	ret
	.fill 16, 1, 0x90
# With threads: the same call further on shares the padding.
	.byte 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x10, 0xc3
	.byte 0xe9, 1, 2, 3, 4, 0, 0, 0, 0, 0
	mov %edx, %esi
	.fill 120, 1, 0xcc
	.byte 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x10, 0xc3
	.byte 0xe9, 1, 2, 3, 4, 0, 0, 0, 0, 0
	xor %eax, %eax
	syscall
	cmp $-4096, %rax
	ja 1b
	mov %r8d, %edi
	.fill 16, 1, 0x90
