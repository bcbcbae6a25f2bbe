// A session: one arena, one probe process, and the handshake between Node and it.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/link.h"
#include "addon/waiter.h"

namespace sigframe {

class Session : public Napi::ObjectWrap<Session> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Session(const Napi::CallbackInfo& info);
  ~Session() override;

 private:
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value reply(const Napi::CallbackInfo& info);
  Napi::Value letGo(const Napi::CallbackInfo& info);
  Napi::Value runAsync(const Napi::CallbackInfo& info);
  Napi::Value completed(const Napi::CallbackInfo& info);
  Napi::Value kill(const Napi::CallbackInfo& info);
  Napi::Value tryReap(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  bool usable(Napi::Env env) const;
  /** Kills, waits a moment for the end, lets go of the arena. True: the process is gone. */
  bool shut();
  static void onEnvironmentEnd(void* session);

  std::shared_ptr<Link> link_;
  Waiter waiter_;
  Napi::Reference<Napi::ArrayBuffer> memory_;
  bool hooked_ = false;
};

}  // namespace sigframe
