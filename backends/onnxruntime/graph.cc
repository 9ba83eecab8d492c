#include "graph.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "triton_api.h"

namespace {

const OrtApi& api() {
  static const OrtApi* const found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  return *found;
}

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw Failure(message);
}

// Type codes of Triton and onnxruntime, and sizes. Strings are supported as outputs only.
struct Type {
  int ort, triton;
  size_t byte_size;
};
constexpr std::array<Type, 12> TYPES{{
    {1, 11, 4},   // FP32
    {2, 2, 1},    // UINT8
    {3, 6, 1},    // INT8
    {4, 3, 2},    // UINT16
    {5, 7, 2},    // INT16
    {6, 8, 4},    // INT32
    {7, 9, 8},    // INT64
    {9, 1, 1},    // BOOL
    {10, 10, 2},  // FP16
    {11, 12, 8},  // FP64
    {12, 4, 4},   // UINT32
    {13, 5, 8},   // UINT64
}};
constexpr int ORT_STRING = 8;

template <int Type::* Side>
const Type& type_of(int type) {
  const auto found = std::find_if(TYPES.begin(), TYPES.end(),
                                  [&](const Type& item) { return item.*Side == type; });
  if (found == TYPES.end()) throw Failure("tensors of this type are not served");
  return *found;
}

OrtEnv* environment() {
  static OrtEnv* const made = [] {
    OrtEnv* made = nullptr;
    check(api().CreateEnv(ORT_LOGGING_LEVEL_WARNING, "onnxruntime", &made));
    return made;
  }();
  return made;
}

const OrtMemoryInfo* cpu_memory() {
  static const OrtMemoryInfo* const made = [] {
    OrtMemoryInfo* made = nullptr;
    check(api().CreateCpuMemoryInfo(ORT_ARENA_ALLOCATOR, ORT_MEM_TYPE_DEFAULT, &made));
    return made;
  }();
  return made;
}

// The keys that NVIDIA's backend documents for CPUs.
void configure(OrtSessionOptions* options, const nlohmann::json& config) {
  const auto given = [&](const char* key) -> std::string {
    return config.value("/parameters"_json_pointer, nlohmann::json::object())
        .value(key, nlohmann::json::object())
        .value("string_value", "");
  };
  const auto threads = [&](const char* key) {
    const std::string text = given(key);
    char* end = nullptr;
    const long count = std::strtol(text.c_str(), &end, 10);
    if (*end != '\0' || count < 0) {
      throw Failure(std::string(key) + " must be a number, 0 or more, not '" + text + "'");
    }
    return static_cast<int>(count);
  };
  check(api().SetIntraOpNumThreads(options, threads("intra_op_thread_count")));
  check(api().SetInterOpNumThreads(options, threads("inter_op_thread_count")));
  // Spinning threads of one model would keep cores from the others.
  check(api().AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  if (given("execution_mode") == "1") check(api().SetSessionExecutionMode(options, ORT_PARALLEL));
  if (given("enable_mem_arena") == "0") check(api().DisableCpuMemArena(options));
  if (given("enable_mem_pattern") == "0") check(api().DisableMemPattern(options));
  if (config.value("/optimization/graph/level"_json_pointer, 0) == -1) {
    check(api().SetSessionGraphOptimizationLevel(options, ORT_ENABLE_BASIC));
  }
  // Passed to the loader unchanged: a name without a folder is searched in LD_LIBRARY_PATH.
  for (const std::string library : config.value(
           "/model_operations/op_library_filename"_json_pointer, nlohmann::json::array())) {
    void* handle = nullptr;
    check(api().RegisterCustomOpsLibrary(options, library.c_str(), &handle));
  }
}

int64_t product(const Shape& shape, size_t from) {
  int64_t result = 1;
  for (size_t i = from; i < shape.size(); ++i) result *= shape[i];
  return result;
}

std::vector<const char*> pointers(const Names& names) {
  std::vector<const char*> result;
  for (const auto& name : names) result.push_back(name.c_str());
  return result;
}

}  // namespace

void Result::Release::operator()(OrtValue* value) const { api().ReleaseValue(value); }

Result::Result(OrtValue* value) : value_(value) {
  OrtTensorTypeAndShapeInfo* about = nullptr;
  check(api().GetTensorTypeAndShape(value, &about));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> owned(
      about, api().ReleaseTensorTypeAndShapeInfo);
  size_t dims = 0;
  int type = 0;
  check(api().GetDimensionsCount(about, &dims));
  shape_.resize(dims);
  check(api().GetDimensions(about, shape_.data(), dims));
  check(api().GetTensorElementType(about, &type));
  const int64_t rows = shape_.empty() ? 1 : shape_[0];
  const size_t per_row = product(shape_, 1);
  if (type != ORT_STRING) {
    const Type& known = type_of<&Type::ort>(type);
    type_ = known.triton;
    void* data = nullptr;
    check(api().GetTensorMutableData(value, &data));
    data_ = static_cast<const char*>(data);
    for (int64_t row = 0; row <= rows; ++row) offsets_.push_back(row * per_row * known.byte_size);
    return;
  }
  type_ = TRITONSERVER_TYPE_BYTES;
  size_t length = 0;
  check(api().GetStringTensorDataLength(value, &length));
  std::string all(length, '\0');
  std::vector<size_t> starts(rows * per_row);
  check(api().GetStringTensorContent(value, all.data(), length, starts.data(), starts.size()));
  starts.push_back(length);
  offsets_.push_back(0);
  for (int64_t row = 0; row < rows; ++row) {
    for (size_t i = row * per_row; i < (row + 1) * per_row; ++i) {
      const uint32_t size = starts[i + 1] - starts[i];
      text_.append(reinterpret_cast<const char*>(&size), sizeof size);
      text_.append(all, starts[i], size);
    }
    offsets_.push_back(text_.size());
  }
}

std::pair<const char*, size_t> Result::rows(int64_t first, int64_t count) const {
  if (first + count >= static_cast<int64_t>(offsets_.size())) {
    throw Failure("the graph gives fewer rows than it was given");
  }
  const char* const data = data_ != nullptr ? data_ : text_.data();
  return {data + offsets_[first], offsets_[first + count] - offsets_[first]};
}

Graph::Graph(const std::string& path, const nlohmann::json& config) {
  OrtSessionOptions* options = nullptr;
  check(api().CreateSessionOptions(&options));
  const std::unique_ptr<OrtSessionOptions, void (*)(OrtSessionOptions*)> owned(
      options, api().ReleaseSessionOptions);
  configure(options, config);
  check(api().CreateSession(environment(), path.c_str(), options, &session_));

  OrtAllocator* allocator = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&allocator));
  const auto names = [&](auto count, auto name) {
    Names result;
    size_t size = 0;
    check(count(session_, &size));
    for (size_t i = 0; i < size; ++i) {
      char* text = nullptr;
      check(name(session_, i, allocator, &text));
      result.emplace_back(text);
      check(api().AllocatorFree(allocator, text));
    }
    return result;
  };
  inputs_ = names(api().SessionGetInputCount, api().SessionGetInputName);
  outputs_ = names(api().SessionGetOutputCount, api().SessionGetOutputName);
}

Graph::~Graph() { api().ReleaseSession(session_); }

std::vector<Result> Graph::run(const std::vector<Tensor>& tensors, const Names& outputs) const {
  std::vector<std::unique_ptr<OrtValue, void (*)(OrtValue*)>> owned;
  std::vector<const OrtValue*> given;
  for (const Tensor& tensor : tensors) {
    OrtValue* value = nullptr;
    // onnxruntime only reads inputs, although its API takes them as writable.
    check(api().CreateTensorWithDataAsOrtValue(
        cpu_memory(), const_cast<void*>(tensor.data), tensor.byte_size, tensor.shape.data(),
        tensor.shape.size(), type_of<&Type::triton>(tensor.type).ort, &value));
    owned.emplace_back(value, api().ReleaseValue);
    given.push_back(value);
  }
  const auto in = pointers(inputs_), out = pointers(outputs);
  std::vector<OrtValue*> values(out.size(), nullptr);
  check(api().Run(session_, nullptr, in.data(), given.data(), in.size(), out.data(), out.size(),
                  values.data()));
  std::vector<Result> results;
  for (OrtValue*& value : values) results.emplace_back(std::exchange(value, nullptr));
  return results;
}
