#include "request.h"

#include <algorithm>

void check(TRITONSERVER_Error* error) {
  if (error == nullptr) return;
  const std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  throw Failure(message);
}

void log(TRITONSERVER_Error* error) {
  if (error == nullptr) return;
  TRITONSERVER_ErrorDelete(TRITONSERVER_LogMessage(TRITONSERVER_LOG_ERROR, __FILE__, __LINE__,
                                                   TRITONSERVER_ErrorMessage(error)));
  TRITONSERVER_ErrorDelete(error);
}

Request::Request(TRITONBACKEND_Request* request) : request_(request) {
  check(TRITONBACKEND_ResponseNew(&response_, request));
}

void Request::read(const Names& inputs) {
  for (const auto& name : inputs) tensors_.push_back(tensor(name));
}

int64_t Request::rows() const {
  const Shape& shape = tensors_.at(0).shape;
  return shape.empty() ? 1 : shape[0];
}

cpu_set_t Request::cores() const {
  uint32_t count = 0;
  check(TRITONBACKEND_RequestParameterCount(request_, &count));
  for (uint32_t i = 0; i < count; ++i) {
    const char* key = nullptr;
    int type = 0;
    const void* value = nullptr;
    check(TRITONBACKEND_RequestParameter(request_, i, &key, &type, &value));
    if (std::string(key) == "cores" && type == TRITONSERVER_PARAMETER_STRING) {
      return cores_of(static_cast<const char*>(value));
    }
  }
  return all_cores();
}

void Request::answer(const Names& outputs, const std::vector<Result>& results,
                     std::optional<int64_t> first) {
  try {
    uint32_t count = 0;
    check(TRITONBACKEND_RequestOutputCount(request_, &count));
    for (uint32_t i = 0; i < count; ++i) {
      const char* name = nullptr;
      check(TRITONBACKEND_RequestOutputName(request_, i, &name));
      const auto found = std::find(outputs.begin(), outputs.end(), name);
      write(name, results.at(found - outputs.begin()), first);
    }
  } catch (const std::exception& error) {
    return fail(TRITONSERVER_ERROR_INTERNAL, error.what());
  }
  succeeded_ = true;
  send(nullptr);
}

void Request::fail(int code, const std::string& message) {
  send(TRITONSERVER_ErrorNew(code, message.c_str()));
}

void Request::release(TRITONBACKEND_ModelInstance* instance, const Times& times) {
  log(TRITONBACKEND_ModelInstanceReportStatistics(instance, request_, succeeded_, times.start,
                                                  times.compute_start, times.compute_end,
                                                  times.end));
  log(TRITONBACKEND_RequestRelease(request_, TRITONSERVER_REQUEST_RELEASE_ALL));
}

Tensor Request::tensor(const std::string& name) {
  TRITONBACKEND_Input* input = nullptr;
  check(TRITONBACKEND_RequestInput(request_, name.c_str(), &input));
  Tensor tensor;
  const int64_t* shape = nullptr;
  uint32_t dims = 0, parts = 0;
  uint64_t byte_size = 0;
  check(TRITONBACKEND_InputProperties(input, nullptr, &tensor.type, &shape, &dims, &byte_size,
                                      &parts));
  tensor.shape.assign(shape, shape + dims);
  tensor.byte_size = byte_size;
  for (uint32_t i = 0; i < parts; ++i) {
    const void* part = nullptr;
    uint64_t length = 0;
    int memory = TRITONSERVER_MEMORY_CPU;
    int64_t device = 0;
    check(TRITONBACKEND_InputBuffer(input, i, &part, &length, &memory, &device));
    if (memory == TRITONSERVER_MEMORY_GPU) throw Failure("inputs in a GPU's memory are not served");
    if (parts == 1) {
      tensor.data = part;
      return tensor;
    }
    if (i == 0) joined_.emplace_back();
    joined_.back().append(static_cast<const char*>(part), length);
  }
  if (parts > 0) tensor.data = joined_.back().data();
  return tensor;
}

void Request::write(const char* name, const Result& result, std::optional<int64_t> first) {
  Shape shape = result.shape();
  if (first && !shape.empty()) shape[0] = rows();
  const auto [data, length] = result.rows(first.value_or(0), shape.empty() ? 1 : shape[0]);
  TRITONBACKEND_Output* output = nullptr;
  check(TRITONBACKEND_ResponseOutput(response_, &output, name, result.type(), shape.data(),
                                     shape.size()));
  void* target = nullptr;
  int memory = TRITONSERVER_MEMORY_CPU;
  int64_t device = 0;
  check(TRITONBACKEND_OutputBuffer(output, &target, length, &memory, &device));
  if (memory == TRITONSERVER_MEMORY_GPU) throw Failure("outputs in a GPU's memory are not served");
  std::copy(data, data + length, static_cast<char*>(target));
}

void Request::send(TRITONSERVER_Error* error) {
  log(TRITONBACKEND_ResponseSend(response_, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
  TRITONSERVER_ErrorDelete(error);
}
