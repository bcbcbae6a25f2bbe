// A 32-bit program, whole as it is executed: an ELF header, one segment, and code that knows its own address. With
// arguments it executes them; without, it writes a line "auxv32" and then its auxiliary vector, as it stands in /proc.

        .set    base, 0x10000

        .section .rodata
        .globl  sigframe_auxv32, sigframe_auxv32_end
        .hidden sigframe_auxv32, sigframe_auxv32_end
        .balign 16
sigframe_auxv32:
        .byte   0x7f, 'E', 'L', 'F', 1, 1, 1, 0 // 32-bit, little-endian
        .quad   0
        .short  2, 3                    // ET_EXEC, EM_386
        .long   1
        .long   base + entry - sigframe_auxv32
        .long   segment - sigframe_auxv32
        .long   0, 0                    // no sections, no flags
        .short  52, 32, 1, 40, 0, 0
segment:
        .long   1, 0                    // PT_LOAD, from the file's start
        .long   base, base
        .long   sigframe_auxv32_end - sigframe_auxv32
        .long   sigframe_auxv32_end - sigframe_auxv32
        .long   5, 0x1000               // read, execute

        .code32
entry:
        movl    (%esp), %eax            // argc
        cmpl    $2, %eax
        jl      1f
        movl    8(%esp), %ebx           // argv[1]
        leal    8(%esp), %ecx
        leal    8(%esp,%eax,4), %edx    // the environment, behind argc, argv and its NULL
        movl    $11, %eax               // execve, asm/unistd_32.h
        int     $0x80
        jmp     3f
1:      movl    $5, %eax                // open
        movl    $base + path - sigframe_auxv32, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        int     $0x80
        testl   %eax, %eax
        js      3f
        movl    %eax, %esi
        movl    $4, %eax                // write
        movl    $1, %ebx
        movl    $base + line - sigframe_auxv32, %ecx
        movl    $path - line, %edx
        int     $0x80
        subl    $1024, %esp
        movl    $3, %eax                // read
        movl    %esi, %ebx
        movl    %esp, %ecx
        movl    $1024, %edx
        int     $0x80
        testl   %eax, %eax
        js      3f
        movl    %eax, %edx
        movl    $4, %eax
        movl    $1, %ebx
        int     $0x80
        xorl    %ebx, %ebx
2:      movl    $1, %eax                // exit
        int     $0x80
3:      negl    %eax
        movl    %eax, %ebx
        jmp     2b
line:   .ascii  "auxv32\n"
path:   .asciz  "/proc/self/auxv"
sigframe_auxv32_end:
        .code64
        .section .note.GNU-stack, "", @progbits
