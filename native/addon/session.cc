#include "addon/session.h"

#include <cerrno>
#include <cstring>
#include <string>

namespace sigframe {
namespace {

/** How long the end of a killed process is waited for where nobody can wait asynchronously. */
constexpr int kLastWaitMs = 250;
constexpr uint32_t kStartTimeoutMs = 10000;
constexpr uint32_t kMaxTimeoutMs = 24u * 3600 * 1000;

// What a getter of the caller's has thrown is what the caller gets: to throw over it would be fatal.
Napi::Value fail(Napi::Env env, const std::string& message) {
  if (env.IsExceptionPending()) return env.Undefined();
  Napi::Error::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value refuse(Napi::Env env, const std::string& message) {
  if (env.IsExceptionPending()) return env.Undefined();
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

/** The argument as an integer of at most `limit`; throws and returns false otherwise. */
bool integer(const Napi::CallbackInfo& info, size_t index, const char* name, uint32_t limit, uint32_t* out) {
  const Napi::Value value = info[index];
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= limit) || number != static_cast<double>(static_cast<uint32_t>(number))) {
    refuse(info.Env(), std::string(name) + " must be an integer from 0 to " + std::to_string(limit));
    return false;
  }
  *out = static_cast<uint32_t>(number);
  return true;
}

bool member(Napi::Object object, const char* name, uint32_t limit, uint32_t* out) {
  const Napi::Value value = object.Get(name);
  if (object.Env().IsExceptionPending()) return false;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 1 && number <= limit) || number != static_cast<double>(static_cast<uint32_t>(number))) {
    refuse(object.Env(), std::string("shape.") + name + " must be an integer from 1 to " + std::to_string(limit));
    return false;
  }
  *out = static_cast<uint32_t>(number);
  return true;
}

const char* stageName(uint32_t stage) {
  switch (static_cast<Stage>(stage)) {
    case Stage::kGuard: return "protecting the guard";
    case Stage::kPermission: return "arch_prctl(ARCH_REQ_XCOMP_PERM)";
    case Stage::kSignals: return "installing its signal handlers";
    case Stage::kNone: break;
  }
  return "starting";
}

/** Why there are no x32 frames, or null where there are. */
Napi::Value x32Lack(Napi::Env env, const Control& control) {
  if (control.x32Error == 0) return env.Null();
  return Napi::String::New(env, control.x32Error == ENOMEM ? "there is no room for the frames below 4 GiB"
                                                           : "this kernel has no x32 ABI");
}

/** Why there are no 32-bit frames, or null where there are. */
Napi::Value ia32Lack(Napi::Env env, const Control& control) {
  const int error = control.ia32Error;
  switch (static_cast<Ia32Need>(control.ia32Need)) {
    case Ia32Need::kNone: return env.Null();
    case Ia32Need::kLowArena: return Napi::String::New(env, "there is no room for the frames below 4 GiB");
    case Ia32Need::kInt80: return Napi::String::New(env, "this kernel has no IA32 emulation, or does not let it be used");
    case Ia32Need::kSigaction: break;
  }
  return Napi::String::New(env, std::string("32-bit rt_sigaction: ") + strerror(error));
}

Napi::Value exitValue(Napi::Env env, const std::optional<Exit>& ended) {
  if (!ended) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  result.Set("signal", ended->bySignal ? Napi::Number::New(env, ended->value) : env.Null());
  result.Set("code", ended->bySignal ? env.Null() : Napi::Number::New(env, ended->value));
  return result;
}

}  // namespace

Napi::Function Session::define(Napi::Env env) {
  return DefineClass(env, "Session",
                     {
                         InstanceMethod<&Session::memory>("memory"),
                         InstanceMethod<&Session::describe>("describe"),
                         InstanceMethod<&Session::run>("run"),
                         InstanceMethod<&Session::reply>("reply"),
                         InstanceMethod<&Session::letGo>("letGo"),
                         InstanceMethod<&Session::runAsync>("runAsync"),
                         InstanceMethod<&Session::completed>("completed"),
                         InstanceMethod<&Session::kill>("kill"),
                         InstanceMethod<&Session::tryReap>("tryReap"),
                         InstanceMethod<&Session::close>("close"),
                     });
}

Session::Session(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Session>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsObject()) {
    refuse(env, "Session(probePath, shape): probePath must be a string and shape an object");
    return;
  }
  const Napi::Object shape = info[1].As<Napi::Object>();
  ArenaShape sizes{};
  constexpr uint32_t kMost = 1u << 28;
  if (!member(shape, "stackBytes", kMost, &sizes.stackBytes) || !member(shape, "headroom", kMost, &sizes.headroom) ||
      !member(shape, "spareBytes", kMost, &sizes.spareBytes) || !member(shape, "dataBytes", kMost, &sizes.dataBytes)) {
    return;
  }
  if (sizes.headroom >= sizes.stackBytes) {
    refuse(env, "shape.headroom must be less than shape.stackBytes");
    return;
  }
  const Napi::Value permissions = shape.Get("permissions");
  bool lossless = false;
  if (permissions.IsBigInt()) sizes.permissions = permissions.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) {
    refuse(env, "shape.permissions must be a bigint of 64 bits");
    return;
  }
  const char* step = "";
  auto arena = ArenaMap::create(sizes, &step);
  if (!arena) {
    fail(env, std::string("the shared arena could not be made: ") + step + ": " + strerror(errno));
    return;
  }
  auto link = std::make_shared<Link>(std::move(arena));
  link->tellCpus();
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  if (const int error = link->child.start(path, link->arena->fd())) {
    fail(env, "the probe process " + path + " could not be started: " + strerror(error));
    return;
  }
  link->arena->closeFd();
  link_ = std::move(link);
  hooked_ = napi_add_env_cleanup_hook(env, &Session::onEnvironmentEnd, this) == napi_ok;
  const Waited waited = link_->waitReady(kStartTimeoutMs);
  Control& control = link_->arena->control();
  if (waited == Waited::kDone && control.ready.load() == 1) return;
  const std::string why = control.ready.load() == 2
                              ? std::string(stageName(control.startupStage)) + ": " + strerror(control.startupError)
                          : waited == Waited::kEnded ? std::string("it ended before it was ready")
                                                     : "it was not ready within " + std::to_string(kStartTimeoutMs) + " ms";
  shut();
  fail(env, "the probe process " + path + " failed at its start: " + why);
}

Session::~Session() { shut(); }

void Session::onEnvironmentEnd(void* opaque) {
  auto* session = static_cast<Session*>(opaque);
  session->hooked_ = false;
  session->shut();
}

bool Session::usable(Napi::Env env) const {
  if (link_) return true;
  fail(env, "the session is closed");
  return false;
}

bool Session::shut() {
  if (!link_) return true;
  if (hooked_) napi_remove_env_cleanup_hook(Env(), &Session::onEnvironmentEnd, this);
  hooked_ = false;
  link_->scatter();
  link_->cancelled.store(true);
  link_->child.kill();
  waiter_.join();
  const bool gone = link_->child.reap(kLastWaitMs).has_value();
  // Where JavaScript still holds the memory, it holds the mapping too.
  link_.reset();
  return gone;
}

Napi::Value Session::memory(const Napi::CallbackInfo& info) {
  if (!usable(info.Env())) return info.Env().Undefined();
  if (!memory_.IsEmpty()) return memory_.Value();
  // From the ring on: the control page is nobody's business above. Index 0 is the arena's offset arena.first.
  auto* keep = new std::shared_ptr<ArenaMap>(link_->arena);
  const ArenaMap& arena = *link_->arena;
  Napi::ArrayBuffer buffer =
      Napi::ArrayBuffer::New(info.Env(), arena.base() + kRequests, arena.bytes() - kRequests,
                             [](Napi::Env, void*, std::shared_ptr<ArenaMap>* held) { delete held; }, keep);
  if (info.Env().IsExceptionPending()) {
    delete keep;
    return info.Env().Undefined();
  }
  memory_ = Napi::Persistent(buffer);
  return buffer;
}

Napi::Value Session::describe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  const Control& control = link_->arena->control();
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, link_->child.pid()));
  result.Set("base", Napi::BigInt::New(env, control.base));
  result.Set("permitted", Napi::BigInt::New(env, control.permitted));
  result.Set("ia32Lack", ia32Lack(env, control));
  result.Set("x32Lack", x32Lack(env, control));
  const auto number = [&](const char* name, uint32_t value) { result.Set(name, Napi::Number::New(env, value)); };
  number("stack", control.stack);
  number("stackBytes", control.stackBytes);
  number("headroom", control.headroom);
  number("spare", control.spare);
  number("spareBytes", control.spareBytes);
  number("data", control.data);
  number("dataBytes", control.dataBytes);
  return result;
}

Napi::Value Session::run(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t count, target, timeoutMs;
  if (!usable(env) || !integer(info, 0, "count", kRingSlots, &count) ||
      !integer(info, 1, "target", UINT32_MAX, &target) || !integer(info, 2, "timeoutMs", kMaxTimeoutMs, &timeoutMs)) {
    return env.Undefined();
  }
  const bool hold = info[3].IsBoolean() && info[3].As<Napi::Boolean>().Value();
  link_->gather();
  link_->submit(count);
  const Waited waited = link_->wait(target, timeoutMs);
  // A frame that waits is replied to in a moment, and a chunk is followed by the next: Node says when to let go.
  if (waited != Waited::kFrame && !hold) link_->scatter();
  return Napi::Number::New(env, static_cast<uint32_t>(waited));
}

Napi::Value Session::letGo(const Napi::CallbackInfo& info) {
  if (link_) link_->scatter();
  return info.Env().Undefined();
}

Napi::Value Session::reply(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t target, timeoutMs;
  if (!usable(env) || !integer(info, 0, "target", UINT32_MAX, &target) ||
      !integer(info, 1, "timeoutMs", kMaxTimeoutMs, &timeoutMs)) {
    return env.Undefined();
  }
  const bool hold = info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value();
  link_->gather();
  link_->reply();
  const Waited waited = link_->wait(target, timeoutMs);
  if (!hold) link_->scatter();
  return Napi::Number::New(env, static_cast<uint32_t>(waited));
}

Napi::Value Session::runAsync(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint32_t count, target, timeoutMs;
  if (!usable(env) || !integer(info, 0, "count", kRingSlots, &count) ||
      !integer(info, 1, "target", UINT32_MAX, &target) || !integer(info, 2, "timeoutMs", kMaxTimeoutMs, &timeoutMs)) {
    return env.Undefined();
  }
  // The thread is free meanwhile, and the probe process runs where there is room.
  link_->spread();
  if (waiter_.busy()) return fail(env, "a wait of this session is under way");
  const Napi::Value promise = waiter_.start(env, link_, target, timeoutMs);
  if (env.IsExceptionPending()) return env.Undefined();
  link_->submit(count);
  return promise;
}

Napi::Value Session::completed(const Napi::CallbackInfo& info) {
  if (!usable(info.Env())) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), link_->arena->control().completed.load());
}

Napi::Value Session::kill(const Napi::CallbackInfo& info) {
  if (!usable(info.Env())) return info.Env().Undefined();
  link_->scatter();
  link_->cancelled.store(true);
  link_->child.kill();
  return info.Env().Undefined();
}

Napi::Value Session::tryReap(const Napi::CallbackInfo& info) {
  if (!usable(info.Env())) return info.Env().Undefined();
  return exitValue(info.Env(), link_->child.tryReap());
}

Napi::Value Session::close(const Napi::CallbackInfo& info) {
  if (!memory_.IsEmpty()) {
    Napi::ArrayBuffer buffer = memory_.Value();
    if (!buffer.IsEmpty() && !buffer.IsDetached()) buffer.Detach();
    memory_.Reset();
  }
  return Napi::Boolean::New(info.Env(), shut());
}

}  // namespace sigframe
