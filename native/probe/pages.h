#pragma once

namespace sigframe {

/** Starts the siblings that the request's operations on pages need: a handler cannot. */
void preparePages();

/** After a probe: no page is taken away any more. */
void settlePages();

}  // namespace sigframe
