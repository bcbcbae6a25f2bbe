#pragma once

#include <napi.h>

namespace sigframe {

/** What CPUID, XGETBV and FXSAVE say of this CPU, undigested. */
Napi::Value readCpu(const Napi::CallbackInfo& info);

}  // namespace sigframe
