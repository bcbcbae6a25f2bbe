import { selftest, type TrialCase } from '../lib/harness/selftest.ts'
import * as hwcaps from '../lib/harness/trials/hwcaps.ts'

const tables = 'fs/binfmt_elf.c, create_elf_tables'
const setting = 'kernel/sys.c, prctl_set_mm'
const series = 'linux-fsdevel, 23 March 2026: exec: inherit HWCAPs from the parent process, v5'

/** MINSIGSTKSZ of the uapi: sigaltstack takes no less, however small the frames are. */
const minSigStkSz = 2048

/** About a process and what it executes: it has no frame, hence no ABI but its own. */
const once = (about: Pick<TrialCase, 'summary' | 'rule' | 'commit' | 'trial'>): TrialCase => ({
  abis: ['x86_64'],
  ...about,
})

/** What a process is told that it may use; and what becomes of that where it says otherwise itself. */
export default selftest('hwcap', {
  summary: 'The auxiliary vector: what the kernel tells, what a process sets itself, and who inherits it.',
  variants: 'once',
  session: 'plain',
  withoutXsave: true,
  cases: {
    user_hwcap_enabled: once({
      summary:
        'Whether the kernel knows PR_USER_HWCAP_ENABLED and HWCAP2_CR, the alternatives that were discussed.',
      rule: 'hwcap-is-inherited-over-exec',
      commit: 'linux-fsdevel, 28 March and 15 April 2026',
      trial: () => ({
        unable: 'neither has a number in any patch that was published: nobody can ask for them',
      }),
    }),
    read_alike: once({
      summary: '/proc/self/auxv and PR_GET_AUXV agree.',
      rule: 'auxv-is-told-alike',
      commit: 'ddc65971bb67',
      trial: hwcaps.readsAlike,
    }),
    legacy_state: once({
      summary: 'AT_HWCAP has FXSR, SSE and SSE2; all four HWCAPs are told.',
      rule: 'hwcap-names-what-frames-hold',
      commit: 'arch/x86/include/asm/elf.h, ELF_HWCAP',
      trial: hwcaps.namesLegacyState,
    }),
    fsgsbase: once({
      summary: 'AT_HWCAP2 has FSGSBASE where RDFSBASE works; bits that nobody knows are told.',
      rule: 'hwcap2-tells-of-fsgsbase',
      commit: 'arch/x86/include/uapi/asm/hwcap2.h',
      trial: hwcaps.tellsOfFsgsbase,
    }),
    sysinfo_ehdr: once({
      summary: 'AT_SYSINFO_EHDR points to an ELF header.',
      rule: 'sysinfo-ehdr-is-an-elf-header',
      commit: 'arch/x86/include/asm/elf.h, ARCH_DLINFO',
      trial: hwcaps.pointsToVdso,
    }),
    minsigstksz: once({
      summary: 'AT_MINSIGSTKSZ of the true vector takes the frames of the task.',
      rule: 'minsigstksz-is-enough',
      commit: '1c33bb050750',
      trial: hwcaps.minsigstkszIsEnough(minSigStkSz),
    }),
    set_by_map: once({
      summary: 'PR_SET_MM_MAP without any capability.',
      rule: 'auxv-is-set-by-map',
      commit: setting,
      trial: hwcaps.setsByMap,
    }),
    set_by_auxv: once({
      summary: 'PR_SET_MM_AUXV with CAP_SYS_RESOURCE.',
      rule: 'auxv-is-set-by-auxv',
      commit: setting,
      trial: hwcaps.setsByAuxv,
    }),
    set_without_capability: once({
      summary: 'PR_SET_MM_AUXV without it.',
      rule: 'auxv-needs-a-capability',
      commit: setting,
      trial: hwcaps.needsCapability,
    }),
    fork: once({
      summary: 'AT_HWCAP without a bit, in a forked child.',
      rule: 'auxv-survives-fork',
      commit: 'kernel/fork.c, dup_mm',
      trial: hwcaps.survivesFork,
    }),
    exec_beyond: once({
      summary: 'All bits of all four set: a 64-bit program is told none that the kernel lacks.',
      rule: 'hwcap-is-no-more-than-the-kernels',
      commit: tables,
      trial: hwcaps.noMoreThanOwn,
    }),
    exec_beyond_32: once({
      summary: 'The same of a 32-bit program.',
      rule: 'hwcap-is-no-more-than-the-kernels',
      commit: tables,
      trial: hwcaps.noMoreThanOwnIn32,
    }),
    exec_otherwise: once({
      summary: 'AT_MINSIGSTKSZ 1 and a wrong AT_SYSINFO_EHDR do not reach what is executed.',
      rule: 'auxv-is-otherwise-the-kernels',
      commit: tables,
      trial: hwcaps.otherwiseOwn,
    }),
    exec: once({
      summary: 'AT_HWCAP without a bit, in what is executed.',
      rule: 'hwcap-is-inherited-over-exec',
      commit: series,
      trial: hwcaps.inherits,
    }),
    exec_masked: once({
      summary: 'AT_HWCAP without a bit and with one that the kernel lacks: only the first counts.',
      rule: 'hwcap-inheritance-is-masked',
      commit: series,
      trial: hwcaps.isMasked,
    }),
    fork_exec: once({
      summary: 'AT_HWCAP without a bit, in what a forked child executes.',
      rule: 'hwcap-inheritance-survives-fork',
      commit: series,
      trial: hwcaps.inheritsThroughFork,
    }),
    exec_exec: once({
      summary: 'AT_HWCAP without a bit, in what that executes.',
      rule: 'hwcap-inheritance-survives-exec',
      commit: series,
      trial: hwcaps.inheritsAgain,
    }),
    exec_32: once({
      summary: 'AT_HWCAP without a bit, in a 32-bit program.',
      rule: 'hwcap-is-inherited-by-32-bit',
      commit: series,
      trial: hwcaps.inheritsIn32,
    }),
    exec_32_exec: once({
      summary: 'AT_HWCAP without a bit, in a 64-bit program that a 32-bit one executes.',
      rule: 'hwcap-is-inherited-through-32-bit',
      commit: series,
      trial: hwcaps.inheritsThrough32,
    }),
    exec_nothing: once({
      summary: 'AT_HWCAP set to 0, in what is executed.',
      rule: 'hwcap-set-to-nothing-is-nothing',
      commit: series,
      trial: hwcaps.inheritsNothing,
    }),
  },
})
