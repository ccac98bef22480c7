# None of these may be patched: a mov into another register that ends in the same bytes, a number from
# a register, read without padding, padding too short, something between.
	mov $1, %r8d
	syscall
	mov %edi, %eax
	syscall
	xor %eax, %eax
	syscall
	test %rax, %rax
	ret
	xor %eax, %eax
	syscall
	cmp $-4096, %rax
	ja 1f
	ret
	nopl (%rax)
1:	ret
	mov $1, %eax
	nop
	syscall
	ret
	nop
	nop
	nop
	nop
	nop
	nop
	nop
	nop
