// Signal actions of the probe process.
#pragma once

#include <csignal>

namespace sigframe {

/** Installs all of them at the start. Returns errno or 0. */
int installActions();

/** The probe's own signals, of every ABI that there is, with these flags (SA_ONSTACK). Returns errno or 0. */
int installProbeActions(unsigned long flags);

/** The signals by which the kernel answers bad frames, with these flags. Returns errno or 0. */
int installFaultActions(unsigned long flags);

/** Those of stress requests, of every ABI that there is. Returns errno or 0. */
int installStressActions();

void setDefaultAction(int signal);

/** What is installed for those. */
void onFault(int signal, siginfo_t* info, void* context);

}  // namespace sigframe
