	# glibc's _exit: the number comes from a register that is set once
	.globl _start
_start:
	mov	0x1000(%rip), %r8
	mov	$231, %esi
	mov	$60, %edx
	jmp	1f
	.byte	0x0f, 0x1f, 0x44, 0x00, 0x00		# nopl
2:	mov	%edx, %eax
	syscall
	.byte	0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff	# cmp $-4096, %rax
	ja	3f
4:	hlt
1:	mov	%esi, %eax
	syscall
	.byte	0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff
	jbe	2b
	neg	%eax
	mov	%eax, %fs:(%r8)
	jmp	2b
	.byte	0x0f, 0x1f, 0x80, 0, 0, 0, 0		# nopl
3:	neg	%eax
	mov	%eax, %fs:(%r8)
	jmp	4b
