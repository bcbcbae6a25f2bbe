// The machine around the command: file systems, devices, serial ports, power.
#pragma once

namespace sigframe::init {

/** Mounts, device nodes, descriptors 0 to 2 on the console. What fails is told there, and does without. */
void prepareMachine();

/** The second serial port, raw and not blocking; -1 where there is none. */
int openDataPort();

/** Waits until the port has sent all it was given, at most two seconds. */
void drainPort(int fd);

/** Has the kernel print what its tasks wait for and what its CPUs do, on the console. */
void printKernelStacks();

[[noreturn]] void powerOff();

}  // namespace sigframe::init
