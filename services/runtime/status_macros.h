// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function if `expr` is a failed absl::Status. May be used in a lambda
// within `expr`: names are made unique by __COUNTER__ (all of `expr` has the same __LINE__).
#define RETURN_IF_ERROR(expr) VIRMO_RETURN_IF_ERROR(VIRMO_CONCAT(status_, __COUNTER__), expr)

// Assigns the value of an absl::StatusOr to `lhs`, or returns its error. Expands to several
// statements: never use it as the whole body of an unbraced `if`.
#define ASSIGN_OR_RETURN(lhs, expr) \
  VIRMO_ASSIGN_OR_RETURN(VIRMO_CONCAT(status_or_, __COUNTER__), lhs, expr)

#define VIRMO_RETURN_IF_ERROR(var, expr)        \
  do {                                          \
    if (absl::Status var = (expr); !var.ok()) { \
      return var;                               \
    }                                           \
  } while (false)
#define VIRMO_ASSIGN_OR_RETURN(var, lhs, expr)   \
  auto var = (expr);                             \
  if (!var.ok()) return std::move(var).status(); \
  lhs = *std::move(var)
#define VIRMO_CONCAT(a, b) VIRMO_CONCAT_INNER(a, b)
#define VIRMO_CONCAT_INNER(a, b) a##b
