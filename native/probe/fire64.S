// The one place where vector state is live: XRSTOR, the raise (or an XRSTOR that is asked about), XSAVE, with nothing
// compiled in between.

        .text

// void sigframe_fire64(struct Fire *fire)
//
// Registers that live across the raise: rbx (fire), which comes back from the signal frame; of a 32-bit
// frame only its low half does, so fire lies below 4 GiB. rsp is taken from fire. rax, rcx, rdx, rsi, rdi,
// rbp and r8 to r12 are scratch. All vector state is clobbered: the caller is compiled with -mgeneral-regs-only
// and owns none.
        .globl  sigframe_fire64
        .hidden sigframe_fire64
        .type   sigframe_fire64, @function
sigframe_fire64:
        endbr64
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rdi, %rbx
        movq    %rsp, 40(%rbx)
        movq    (%rbx), %rsp
        movq    8(%rbx), %rcx
        cmpl    $0, 60(%rbx)
        jne     1f
        movl    32(%rbx), %eax
        movl    36(%rbx), %edx
        .globl  sigframe_fire64_load
        .hidden sigframe_fire64_load
sigframe_fire64_load:
        xrstor64 (%rcx)
        jmp     2f
1:
        .globl  sigframe_fire64_load_fx
        .hidden sigframe_fire64_load_fx
sigframe_fire64_load_fx:
        fxrstor64 (%rcx)
2:
        movq    160(%rbx), %rcx
        testq   %rcx, %rcx
        jnz     15f
16:
        movl    $1, 72(%rbx)
        movl    64(%rbx), %ecx
        movq    80(%rbx), %rax
        movq    88(%rbx), %rdi
        movq    96(%rbx), %rsi
        movq    104(%rbx), %rdx
        movq    112(%rbx), %r10
        movq    120(%rbx), %r8
        cmpl    $1, %ecx
        je      5f
        ja      6f
        syscall
        jmp     sigframe_fire64_raised
5:      // How::kCode32: the arguments where a 32-bit system call has them
        movl    %edi, %ebx
        movl    %esi, %ecx
        ljmpl   *sigframe_to_code32(%rip)
6:      cmpl    $2, %ecx
        jne     7f
        int     $0x80                   // How::kInt80
        jmp     sigframe_fire64_raised
7:      cmpl    $3, %ecx
        jne     10f
        movl    128(%rbx), %ecx         // How::kSpin
8:      cmpl    $0, 76(%rbx)
        jne     sigframe_fire64_raised
        pause
        decl    %ecx
        jnz     8b
        jmp     sigframe_fire64_raised
        // How::kWindow: a signal of any ABI may come between any two instructions from the first system call on.
        // What a 32-bit frame does not bring back (r8 to r15, all upper halves) is loaded anew where it is needed.
10:     movl    128(%rbx), %ebp
        movl    $14, %eax               // rt_sigprocmask
        movl    $1, %edi                // SIG_UNBLOCK
        movl    136(%rbx), %esi
        xorl    %edx, %edx
        movl    $8, %r10d
        syscall
11:     cmpq    $-1, 80(%rbx)
        je      12f
        movq    80(%rbx), %rax
        movq    88(%rbx), %rdi
        movq    96(%rbx), %rsi
        movq    104(%rbx), %rdx
        syscall
        jmp     13f
12:     pause
13:     cmpl    $0, 76(%rbx)
        jne     14f
        decl    %ebp
        jnz     11b
14:     movl    $14, %eax
        xorl    %edi, %edi              // SIG_BLOCK
        movl    136(%rbx), %esi
        xorl    %edx, %edx
        movl    $8, %r10d
        syscall
        testq   %rax, %rax
        jnz     14b                     // r10 went with a 32-bit frame
        .globl  sigframe_fire64_raised
        .hidden sigframe_fire64_raised
sigframe_fire64_raised:
        movq    16(%rbx), %r12
        cmpl    $0, 60(%rbx)
        jne     3f
        movl    32(%rbx), %eax
        movl    36(%rbx), %edx
        xsave64 (%r12)
        jmp     4f
3:
        fxsave64 (%r12)
4:
        .globl  sigframe_fire64_skip
        .hidden sigframe_fire64_skip
sigframe_fire64_skip:
        movq    160(%rbx), %rcx
        testq   %rcx, %rcx
        jnz     17f
18:
        movq    40(%rbx), %rsp
        cmpl    $0, 132(%rbx)
        je      9f
        pushfq
        andq    $~0x40400, (%rsp)       // AC, DF
        popfq
9:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        // Stops, where a tracer looks at the registers: Stop::kLoaded and Stop::kEnded.
15:     movl    $1, (%rcx)
        int3
        jmp     16b
17:     movl    $2, (%rcx)
        int3
        jmp     18b
        .size   sigframe_fire64, .-sigframe_fire64

// An instruction that a fault is told by.
        .macro  ASKED label, instruction:vararg
        .globl  \label
        .hidden \label
\label:
        \instruction
        .endm

// void sigframe_xrstor64(struct Fire *fire)
//
// What the CPU makes of the bytes at fire->load. Registers that live across the three instructions: rdi (fire), rsi (the
// bytes), rcx (the image before, then where everything is saved); rax and rdx are scratch. All vector state is clobbered,
// as in sigframe_fire64. No branch between the first load and the save: where BNDCFGU has just been loaded, one without
// BND prefix would put the bounds to their init state (SDM vol. 1, appendix E).
        .globl  sigframe_xrstor64
        .hidden sigframe_xrstor64
        .type   sigframe_xrstor64, @function
sigframe_xrstor64:
        endbr64
        movq    8(%rdi), %rsi
        movq    24(%rdi), %rcx
        movl    32(%rdi), %eax
        movl    36(%rdi), %edx
        cmpl    $0, 60(%rdi)
        jne     2f
        cmpl    $0, 148(%rdi)
        jne     1f
        xrstor64 (%rcx)
        movq    16(%rdi), %rcx
        movl    152(%rdi), %eax
        movl    156(%rdi), %edx
        ASKED   sigframe_xrstor64_asked, xrstor64 (%rsi)
        movl    32(%rdi), %eax
        movl    36(%rdi), %edx
        xsave64 (%rcx)
        ret
1:      xrstor64 (%rcx)
        movq    16(%rdi), %rcx
        ASKED   sigframe_xrstor64_asked_fx, fxrstor64 (%rsi)
        xsave64 (%rcx)
        ret
2:      fxrstor64 (%rcx)
        movq    16(%rdi), %rcx
        ASKED   sigframe_xrstor64_asked_fx_only, fxrstor64 (%rsi)
        fxsave64 (%rcx)
        .globl  sigframe_xrstor64_skip
        .hidden sigframe_xrstor64_skip
sigframe_xrstor64_skip:
        ret
        .size   sigframe_xrstor64, .-sigframe_xrstor64

// A signal handler: calls \handler(frame) on the handler's own stack, loads the poison, and returns to
// the kernel through the restorer. `ret` and not a jump, so that a shadow stack stays balanced.
// Nothing has to be preserved: sigreturn restores every general register from the frame.
// rbx and r12 live across the call. The frame's own stack is not touched before its keys are open.
        .macro  ENTRY64 name, handler
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        endbr64
        movq    %rsp, %rbx
        leaq    sigframe_fire(%rip), %r12
        movq    sigframe_handler_stack(%rip), %rsp
        cmpl    $0, 68(%r12)
        je      2f
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        wrpkru
2:      movq    %rbx, %rdi
        call    \handler
        movq    %rbx, %rsp
        movq    24(%r12), %rcx
        cmpl    $0, 60(%r12)
        jne     1f
        movl    32(%r12), %eax
        movl    36(%r12), %edx
        xrstor64 (%rcx)
        ret
1:      fxrstor64 (%rcx)
        ret
        .size   \name, .-\name
        .endm

        ENTRY64 sigframe_entry64, sigframe_on_signal
        ENTRY64 sigframe_plain_entry64, sigframe_on_plain_signal

// A handler that does nothing but count: it needs no stack, and may run between any two instructions of How::kWindow.
// edi is the signal's number; `pointer` is where the frame has its fpstate's address.
        .macro  STRESS64 name, pointer
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        endbr64
        leaq    sigframe_fire(%rip), %rbx
        leaq    sigframe_stress_signals(%rip), %rcx
        movl    %edi, %edi
        incl    (%rcx, %rdi, 4)
        incl    76(%rbx)
        movq    \pointer(%rsp), %rcx
        movl    144(%rbx), %eax
        xorl    %eax, 160(%rcx)
        movq    24(%rbx), %rcx
        cmpl    $0, 60(%rbx)
        jne     1f
        movl    32(%rbx), %eax
        movl    36(%rbx), %edx
        xrstor64 (%rcx)
        ret                             // to the restorer
1:      fxrstor64 (%rcx)
        ret
        .size   \name, .-\name
        .endm

        STRESS64 sigframe_stress_entry64, 232
        STRESS64 sigframe_stress_entry_x32, 216

        .globl  sigframe_restorer64
        .hidden sigframe_restorer64
        .type   sigframe_restorer64, @function
sigframe_restorer64:
        movl    $15, %eax               // rt_sigreturn
        syscall
        ud2
        .size   sigframe_restorer64, .-sigframe_restorer64

        .globl  sigframe_restorer_x32
        .hidden sigframe_restorer_x32
        .type   sigframe_restorer_x32, @function
sigframe_restorer_x32:
        movl    $0x40000201, %eax       // rt_sigreturn, asm/unistd_x32.h
        syscall
        ud2
        .size   sigframe_restorer_x32, .-sigframe_restorer_x32

        .section .note.GNU-stack, "", @progbits
