// An ONNX graph that onnxruntime runs on the CPU.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnxruntime_api.h"

// What went wrong, for people.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Names = std::vector<std::string>;
using Shape = std::vector<int64_t>;

// A tensor of numbers, as it lies in memory; whoever made it keeps it.
struct Tensor {
  const void* data = nullptr;
  size_t byte_size = 0;
  int type = 0;  // Triton's
  Shape shape;
};

// What a graph gives: numbers, or strings, each behind its length (uint32), as Triton wants them.
class Result {
 public:
  explicit Result(OrtValue* value);

  int type() const { return type_; }  // Triton's
  const Shape& shape() const { return shape_; }
  // The bytes of the rows from `first` on: a part along the first axis.
  std::pair<const char*, size_t> rows(int64_t first, int64_t count) const;

 private:
  struct Release {
    void operator()(OrtValue* value) const;
  };
  std::unique_ptr<OrtValue, Release> value_;
  int type_ = 0;
  Shape shape_;
  const char* data_ = nullptr;
  std::string text_;             // of strings
  std::vector<size_t> offsets_;  // where each row begins, and where the last ends
};

class Graph {
 public:
  // Loads the file that a model's configuration (Triton's JSON of it) means. Raises Failure.
  Graph(const std::string& path, const nlohmann::json& config);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const Names& inputs() const { return inputs_; }
  const Names& outputs() const { return outputs_; }

  // One run: from a tensor for each of inputs() to a result for each of `outputs`. May be called
  // by several threads at once. Raises Failure.
  std::vector<Result> run(const std::vector<Tensor>& tensors, const Names& outputs) const;

 private:
  OrtSession* session_ = nullptr;
  Names inputs_, outputs_;
};
