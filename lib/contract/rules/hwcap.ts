/**
 * Rules on the auxiliary vector, by which a process learns what it may use at all: fs/binfmt_elf.c, create_elf_tables,
 * and kernel/sys.c, prctl_set_mm. PR_USER_HWCAP_ENABLED and HWCAP2_CR, which are named beside the inheritance over exec
 * (linux-api, 28 March and 15 April 2026), are in no patch and have no numbers: there is nothing to ask a kernel for.
 */
import type { Rule } from '../rule.ts'

const inheritance = '“exec: inherit HWCAPs from the parent process”, v5 of 23 March 2026, not merged'
const tables = 'fs/binfmt_elf.c, create_elf_tables'
const setting = 'kernel/sys.c, prctl_set_mm'

const proposed = {
  status: 'proposed',
  holds: 'as-stated',
  before: ['forgotten'],
  proposal: 'hwcap-inheritance',
  commit: inheritance,
} as const

export const hwcapRules = [
  {
    id: 'auxv-is-told-alike',
    sentence: 'PR_GET_AUXV and /proc/self/auxv give the same vector.',
    status: 'established',
    holds: 'as-stated',
    commit: 'ddc65971bb67',
  },
  {
    id: 'hwcap-names-what-frames-hold',
    sentence: 'AT_HWCAP has FXSR, SSE and SSE2, whose registers every frame holds.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'arch/x86/include/asm/elf.h, ELF_HWCAP',
  },
  {
    id: 'hwcap2-tells-of-fsgsbase',
    sentence: 'AT_HWCAP2 has FSGSBASE where RDFSBASE works, and only there.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'arch/x86/include/uapi/asm/hwcap2.h',
  },
  {
    id: 'sysinfo-ehdr-is-an-elf-header',
    sentence: 'AT_SYSINFO_EHDR points to an ELF header in the process.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/include/asm/elf.h, ARCH_DLINFO',
  },
  {
    id: 'auxv-is-set-by-map',
    sentence: 'A process sets its own vector by PR_SET_MM_MAP, without any capability.',
    status: 'established',
    holds: 'as-stated',
    commit: 'f606b77f1a9e',
  },
  {
    id: 'auxv-is-set-by-auxv',
    sentence: 'With CAP_SYS_RESOURCE a process sets its own vector by PR_SET_MM_AUXV.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'auxv-needs-a-capability',
    sentence: 'Without CAP_SYS_RESOURCE PR_SET_MM_AUXV is EPERM, and changes nothing.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'auxv-survives-fork',
    sentence: 'A child has the vector that its parent has set.',
    status: 'established',
    holds: 'as-stated',
    commit: 'kernel/fork.c, dup_mm',
  },
  {
    id: 'hwcap-is-no-more-than-the-kernels',
    sentence:
      'A program that is executed is told no HWCAP beyond the kernel’s own, whatever its parent has set.',
    status: 'established',
    holds: 'as-stated',
    commit: tables,
  },
  {
    id: 'auxv-is-otherwise-the-kernels',
    sentence:
      'It is told the kernel’s AT_MINSIGSTKSZ and its own AT_SYSINFO_EHDR, whatever its parent has set.',
    status: 'established',
    holds: 'as-stated',
    commit: tables,
  },
  {
    id: 'hwcap-is-inherited-over-exec',
    sentence: 'HWCAPs that a process has set are those of what it executes.',
    ...proposed,
  },
  {
    id: 'hwcap-inheritance-is-masked',
    sentence: 'Of what is inherited as HWCAP only what the kernel has itself is left.',
    ...proposed,
  },
  {
    id: 'hwcap-inheritance-survives-fork',
    sentence: 'HWCAPs that a process has set are those of what its children execute.',
    ...proposed,
  },
  {
    id: 'hwcap-inheritance-survives-exec',
    sentence: 'HWCAPs that were inherited are those of what is executed next, too.',
    ...proposed,
  },
  {
    id: 'hwcap-is-inherited-by-32-bit',
    sentence: 'A 32-bit program inherits the HWCAPs that a 64-bit process has set.',
    ...proposed,
  },
  {
    id: 'hwcap-is-inherited-through-32-bit',
    sentence: 'A 64-bit program inherits HWCAPs through a 32-bit one.',
    ...proposed,
  },
  {
    id: 'hwcap-set-to-nothing-is-nothing',
    sentence: 'HWCAPs that a process has set to 0 are 0 in what it executes.',
    ...proposed,
  },
] as const satisfies readonly Rule[]
