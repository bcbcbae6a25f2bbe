// 32-bit code of the 64-bit probe process: raising a signal from it, and handlers that the kernel enters
// in it because they were registered by int $0x80. All of it lies below 4 GiB: the probe process is linked
// at a fixed low address.
// 0x23 and 0x33: __USER32_CS and __USER_CS, arch/x86/include/asm/segment.h.

        .text

// Entered from sigframe_fire64 with ebx tgid, ecx tid, edx signal. ebx is the only register that
// sigframe_fire64 wants back.
        .code32
sigframe_code32:
        movl    $270, %eax              // tgkill, asm/unistd_32.h
        int     $0x80
        .globl  sigframe_fire32_raised
        .hidden sigframe_fire32_raised
sigframe_fire32_raised:
        movl    $sigframe_fire, %ebx
        ljmp    $0x33, $sigframe_fire64_raised

// A handler of a 32-bit frame: as ENTRY64 in fire64.S, but for the way in, in 32-bit code, and the way out,
// by int $0x80, with the stack pointer where the 32-bit restorer would leave it.
        .macro  ENTRY32 name, number, popped
        .code32
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        ljmp    $0x33, $1f
        .code64
1:      movl    %esp, %ebx              // clears the upper half, which the far jump leaves undefined
        movq    sigframe_handler_stack(%rip), %rsp
        // A 32-bit frame has no r8 to r15: a timer's signal may hit where they are in use.
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        leaq    sigframe_fire(%rip), %r12
        cmpl    $0, 68(%r12)
        je      2f
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        wrpkru
2:      movq    %rbx, %rdi
        call    sigframe_on_signal
        movq    24(%r12), %rcx
        cmpl    $0, 60(%r12)
        jne     3f
        movl    32(%r12), %eax
        movl    36(%r12), %edx
        xrstor64 (%rcx)
        jmp     4f
3:      fxrstor64 (%rcx)
4:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        leaq    \popped(%rbx), %rsp
        movl    $\number, %eax
        int     $0x80
        ud2
        .size   \name, .-\name
        .endm

        ENTRY32 sigframe_entry32_rt, 173, 4     // rt_sigreturn; the restorer has popped pretcode
        ENTRY32 sigframe_entry32, 119, 8        // sigreturn; it has popped pretcode and sig

        .section .rodata
        .globl  sigframe_to_code32
        .hidden sigframe_to_code32
        .balign 8
sigframe_to_code32:
        .long   sigframe_code32
        .word   0x23

        .section .note.GNU-stack, "", @progbits
