// An ONNX graph that onnxruntime runs on the CPU.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnxruntime_api.h"

// An error with a human-readable message.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Names = std::vector<std::string>;
using Shape = std::vector<int64_t>;

// A view of a numeric tensor; it does not own the memory.
struct Tensor {
  const void* data = nullptr;
  size_t byte_size = 0;
  int type = 0;  // Triton's code
  Shape shape;
};

// An output of a graph: numbers, or strings, each preceded by its length (uint32) as in Triton.
class Result {
 public:
  explicit Result(OrtValue* value);

  int type() const { return type_; }  // Triton's code
  const Shape& shape() const { return shape_; }
  // The bytes of the rows from `first` on: a slice along the first axis.
  std::pair<const char*, size_t> rows(int64_t first, int64_t count) const;

 private:
  struct Release {
    void operator()(OrtValue* value) const;
  };
  std::unique_ptr<OrtValue, Release> value_;
  int type_ = 0;
  Shape shape_;
  const char* data_ = nullptr;
  std::string text_;             // the strings, encoded
  std::vector<size_t> offsets_;  // where each row begins, and where the last one ends
};

class Graph {
 public:
  // Loads the file named by a model's configuration (Triton's JSON). Throws Failure.
  Graph(const std::string& path, const nlohmann::json& config);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const Names& inputs() const { return inputs_; }
  const Names& outputs() const { return outputs_; }

  // Runs the graph: takes a tensor for each of inputs() and returns a result for each of `outputs`.
  // Thread-safe. Throws Failure.
  std::vector<Result> run(const std::vector<Tensor>& tensors, const Names& outputs) const;

 private:
  OrtSession* session_ = nullptr;
  Names inputs_, outputs_;
};
