// A Triton request that is being answered.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cores.h"
#include "graph.h"
#include "triton_api.h"

// Throws Failure if Triton returned an error.
void check(TRITONSERVER_Error* error);
// Logs an error that can't be returned to anyone.
void log(TRITONSERVER_Error* error);

// Times of a batch in nanoseconds: its start, its graph's start and end, and its end.
struct Times {
  uint64_t start, compute_start, compute_end, end;
};

class Request {
 public:
  // Throws Failure if Triton can't create a response.
  explicit Request(TRITONBACKEND_Request* request);

  // Its input tensors, which Triton owns until `release`. Throws Failure.
  void read(const Names& inputs);
  const std::vector<Tensor>& tensors() const { return tensors_; }
  int64_t rows() const;
  // The cores in its parameter `cores`. Throws Failure.
  cpu_set_t cores() const;

  // Answers with its share of the results' rows, beginning at `first`; with all rows if there is no
  // `first`. If that fails, the error is the answer.
  void answer(const Names& outputs, const std::vector<Result>& results,
              std::optional<int64_t> first);
  void fail(int code, const std::string& message);

  // Reports its statistics, and gives it back to Triton, which may then delete it.
  void release(TRITONBACKEND_ModelInstance* instance, const Times& times);

 private:
  Tensor tensor(const std::string& name);
  void write(const char* name, const Result& result, std::optional<int64_t> first);
  void send(TRITONSERVER_Error* error);

  TRITONBACKEND_Request* request_;
  TRITONBACKEND_Response* response_ = nullptr;
  bool succeeded_ = false;
  std::vector<Tensor> tensors_;
  std::deque<std::string> joined_;  // tensors that were received in several parts
};
