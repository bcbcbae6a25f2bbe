#include "addon/waiter.h"

#include <csignal>
#include <cstring>
#include <string>

namespace sigframe {
namespace {

/** What the thread and the callback share; deleted by the thread-safe function's finalizer. */
struct Waiting {
  Napi::Promise::Deferred deferred;
  Waited waited;
};

void resolve(Napi::Env env, Napi::Function, Waiting* waiting, Waited* waited) {
  // At Node's end there is nobody left to tell.
  if (env == nullptr || waiting == nullptr) return;
  waiting->deferred.Resolve(Napi::Number::New(env, static_cast<uint32_t>(*waited)));
}

using Tell = Napi::TypedThreadSafeFunction<Waiting, Waited, resolve>;

struct Task {
  std::shared_ptr<Link> link;
  uint32_t target;
  uint32_t timeoutMs;
  Waiting* waiting;
  Tell tell;
  std::shared_ptr<std::atomic<bool>> done;
};

void* wait(void* opaque) {
  const std::unique_ptr<Task> task(static_cast<Task*>(opaque));
  task->waiting->waited = task->link->wait(task->target, task->timeoutMs);
  // Before Node is told, which may then start the next: what is left to do here takes no time.
  task->done->store(true);
  // Once it is closing, it may not even be released.
  if (task->tell.BlockingCall(&task->waiting->waited) != napi_closing) task->tell.Release();
  return nullptr;
}

}  // namespace

Napi::Value Waiter::start(Napi::Env env, const std::shared_ptr<Link>& link, uint32_t target, uint32_t timeoutMs) {
  auto* waiting = new Waiting{Napi::Promise::Deferred::New(env), Waited::kCancelled};
  const Napi::Promise promise = waiting->deferred.Promise();
  Tell tell = Tell::New(env, "sigframe.wait", 0, 1, waiting,
                        [](Napi::Env, void*, Waiting* done) { delete done; }, static_cast<void*>(nullptr));
  if (env.IsExceptionPending()) {
    delete waiting;
    return env.Undefined();
  }
  join();
  done_ = std::make_shared<std::atomic<bool>>(false);
  auto* task = new Task{link, target, timeoutMs, waiting, tell, done_};
  // Signals are for Node's own thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, wait, task);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  started_ = error == 0;
  if (!started_) {
    delete task;
    tell.Release();
    Napi::Error::New(env, std::string("no thread to wait on: ") + strerror(error)).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return promise;
}

void Waiter::join() {
  if (started_) pthread_join(thread_, nullptr);
  started_ = false;
}

}  // namespace sigframe
