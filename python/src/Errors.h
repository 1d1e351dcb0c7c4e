// Errors of the C interface as exceptions of the package.
#pragma once

#include <string>

struct rtorch_error;

namespace rtorch::python {

/// Throws the exception class that belongs to the code (rtorch/_errors.py), with what
/// the error says; does nothing for null. Takes ownership. Holding the GIL.
void check(rtorch_error *error);

/// Throws the exception for an error of ours.
[[noreturn]] void fail(const std::string &code, const std::string &message);

} // namespace rtorch::python
