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
        .macro  ENTRY32 name, handler, number, popped
        .code32
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        ljmp    $0x33, $1f
        .code64
1:      movl    %esp, %ebx              // clears the upper half, which the far jump leaves undefined
        movq    sigframe_handler_stack(%rip), %rsp
        leaq    sigframe_fire(%rip), %r12
        cmpl    $0, 68(%r12)
        je      2f
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        wrpkru
2:      movq    %rbx, %rdi
        call    \handler
        movq    24(%r12), %rcx
        cmpl    $0, 60(%r12)
        jne     3f
        movl    32(%r12), %eax
        movl    36(%r12), %edx
        xrstor64 (%rcx)
        jmp     4f
3:      fxrstor64 (%rcx)
4:      leaq    \popped(%rbx), %rsp
        movl    $\number, %eax
        int     $0x80
        ud2
        .size   \name, .-\name
        .endm

        // rt_sigreturn; the restorer has popped pretcode
        ENTRY32 sigframe_entry32_rt, sigframe_on_signal, 173, 4
        ENTRY32 sigframe_plain_entry32_rt, sigframe_on_plain_signal, 173, 4
        // sigreturn; it has popped pretcode and sig
        ENTRY32 sigframe_entry32, sigframe_on_signal, 119, 8
        ENTRY32 sigframe_plain_entry32, sigframe_on_plain_signal, 119, 8

// As sigframe_stress_entry64: it needs no stack, and touches none of the registers that do not come back. eax is the
// signal's number. `pointer` is where the frame has its fpstate's address, an fsave header before the area.
        .macro  STRESS32 name, pointer, number, popped
        .code32
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        ljmp    $0x33, $1f
        .code64
1:      movl    %esp, %esp
        leaq    sigframe_fire(%rip), %rbx
        leaq    sigframe_stress_signals(%rip), %rcx
        movl    %eax, %eax
        incl    (%rcx, %rax, 4)
        incl    76(%rbx)
        movl    \pointer(%rsp), %ecx
        movl    144(%rbx), %eax
        xorl    %eax, 112+160(%rcx)
        movq    24(%rbx), %rcx
        addl    $\popped, %esp
        cmpl    $0, 60(%rbx)
        jne     2f
        movl    32(%rbx), %eax
        movl    36(%rbx), %edx
        xrstor64 (%rcx)
        jmp     3f
2:      fxrstor64 (%rcx)
3:      movl    $\number, %eax
        int     $0x80
        ud2
        .size   \name, .-\name
        .endm

        STRESS32 sigframe_stress_entry32_rt, 240, 173, 4
        STRESS32 sigframe_stress_entry32, 84, 119, 8

        .section .rodata
        .globl  sigframe_to_code32
        .hidden sigframe_to_code32
        .balign 8
sigframe_to_code32:
        .long   sigframe_code32
        .word   0x23

        .section .note.GNU-stack, "", @progbits
