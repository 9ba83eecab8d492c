// A request of Triton's while it is answered.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cores.h"
#include "graph.h"
#include "triton_api.h"

// Raises what Triton says went wrong.
void check(TRITONSERVER_Error* error);
// Writes it into Triton's log, where nobody is left to be told.
void log(TRITONSERVER_Error* error);

// When a batch was begun, when its graph was run, and when it was done: nanoseconds.
struct Times {
  uint64_t start, compute_start, compute_end, end;
};

class Request {
 public:
  // Raises Failure where Triton can't make a response.
  explicit Request(TRITONBACKEND_Request* request);

  // Where its input tensors lie; Triton keeps them until `release`. Raises Failure.
  void read(const Names& inputs);
  const std::vector<Tensor>& tensors() const { return tensors_; }
  int64_t rows() const;
  // Where its parameter `cores` wants it to be computed. Raises Failure.
  cpu_set_t cores() const;

  // Answer with as many rows of the results as it has, from `first` on; without it, with all.
  // What goes wrong is the answer then.
  void answer(const Names& outputs, const std::vector<Result>& results,
              std::optional<int64_t> first);
  void fail(int code, const std::string& message);

  // Count it, and give it back to Triton, which may then forget it.
  void release(TRITONBACKEND_ModelInstance* instance, const Times& times);

 private:
  Tensor tensor(const std::string& name);
  void write(const char* name, const Result& result, std::optional<int64_t> first);
  void send(TRITONSERVER_Error* error);

  TRITONBACKEND_Request* request_;
  TRITONBACKEND_Response* response_ = nullptr;
  bool succeeded_ = false;
  std::vector<Tensor> tensors_;
  std::deque<std::string> joined_;  // tensors that came in several parts
};
