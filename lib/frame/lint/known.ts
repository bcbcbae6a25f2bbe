/**
 * Wrong shapes that projects made, each as its issue or its source describes it. How a frame is told to be of one says
 * the check that names it.
 */
import type { KnownShape } from './finding.ts'

const shape = (project: string, reference: string): KnownShape => Object.freeze({ project, reference })

export const knownShapes = Object.freeze({
  /** xstate_size is the sum of the components' sizes: a component that the CPU lacks leaves no hole. */
  criuSum: shape('CRIU', 'checkpoint-restore/criu#1042'),
  /** 11008 bytes into a buffer of 4096. */
  criuBuffer: shape('CRIU', 'checkpoint-restore/criu#2835'),
  /** The XSAVE area of a 32-bit frame was not aligned: its fsave header was. */
  criuAlignment: shape('CRIU', 'checkpoint-restore/criu#786'),
  dynamoRioAlignment: shape('DynamoRIO', 'DynamoRIO/dynamorio#5079'),
  felixAlignment: shape('felix86', 'OFFTKP/felix86#607'),
  /** All is there but MAGIC2. */
  dynamoRioMagic2: shape('DynamoRIO', 'DynamoRIO/dynamorio#3812'),
  fexMagic2: shape('FEX', 'FEX-Emu/FEX#5229'),
  /** The header's reserved bytes held what the heap had. */
  dynamoRioHeader: shape('DynamoRIO', 'DynamoRIO/dynamorio#3814'),
  /** 512 bytes were copied, whose sw bytes speak of more. */
  cclCopy: shape('Clozure CL', 'Clozure/ccl#556'),
  /** CPUID leaf 0xD, subleaf 1: the size of the compacted format, for an area in the standard one. */
  asterinasSize: shape('Asterinas', 'asterinas/asterinas#3920'),
  /** MAGIC1 in a frame of x87 and SSE alone, with sizes of 0. */
  fexMagic1: shape('FEX', 'FEX-Emu/FEX#4644'),
  /** `SetXStateInfo`: extended_size as xstate_size, so that nothing is left for MAGIC2. */
  fexSize: shape('FEX', 'FEX-Emu/FEX, SetXStateInfo'),
  /** The same: XSTATE_BV 0, whatever the registers hold. */
  fexHeader: shape('FEX', 'FEX-Emu/FEX, SetXStateInfo'),
  /** Offsets are another vendor's. */
  rrOffsets: shape('rr', 'rr-debugger/rr#3573'),
  /** 32-bit kernels from 3.7 to 4.3 copied sw bytes that nobody had set. */
  linuxSwBytes: shape('Linux', 'torvalds/linux@72a671ced66d'),
  /** `xsave_sigcontext` leaves the sw bytes' padding as the stack had it. */
  qemuPadding: shape('QEMU', 'qemu/qemu, linux-user/i386/signal.c'),
  /** `setup_rt_frame` sets UC_FP_XSTATE alone. */
  qemuFlags: shape('QEMU', 'qemu/qemu, linux-user/i386/signal.c'),
  /** A frame that was shrunk, with the MAGIC2 of its old size behind it: kernels with dc8aa31a7ac2 take it for its own. */
  linuxStaleMagic2: shape('Linux', 'torvalds/linux@dc8aa31a7ac2'),
})
