// A library of custom operators for onnxruntime, domain `aurum`. onnxruntime calls its function
// RegisterCustomOps.
//
// Each operator is a whole net, whose weights are initializers of the graph. They are repacked
// once, when a session is created. Weights that don't fit fail this with a message, and so does a
// graph with another `format`, because kernels and graphs may come from different versions.

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../onnxruntime/onnxruntime_api.h"
#include "cpu.h"
#include "edgeface.h"
#include "landmarks.h"

namespace {

constexpr int64_t FORMAT = 1;

const OrtApi* api = nullptr;

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api->GetErrorMessage(status);
  api->ReleaseStatus(status);
  throw Misfit(message);
}

// Runs a function, and converts its exception to onnxruntime's status; nullptr on success.
template <class Work>
OrtStatus* guarded(const char* name, int code, Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    const std::string message = "aurum." + std::string(name) + ": " + error.what();
    return api->CreateStatus(code, message.c_str());
  }
  return nullptr;
}

struct View {
  const void* data = nullptr;
  std::vector<int64_t> shape;

  size_t count() const {
    size_t product = 1;
    for (const int64_t side : shape) product *= side;
    return product;
  }
};

View view(const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* about = nullptr;
  check(api->GetTensorTypeAndShape(value, &about));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> owned(
      about, api->ReleaseTensorTypeAndShapeInfo);
  size_t dims = 0;
  check(api->GetDimensionsCount(about, &dims));
  View made;
  made.shape.resize(dims);
  check(api->GetDimensions(about, made.shape.data(), dims));
  void* data = nullptr;
  check(api->GetTensorMutableData(const_cast<OrtValue*>(value), &data));  // only read by us
  made.data = data;
  return made;
}

// Checks the other sides (0 allows any) and returns the batch size.
View input(const OrtKernelContext* context, const std::array<int64_t, 4>& wanted) {
  const OrtValue* value = nullptr;
  check(api->KernelContext_GetInput(context, 0, &value));
  View made = view(value);
  bool fits = made.shape.size() == wanted.size();
  for (size_t i = 0; fits && i < wanted.size(); ++i) {
    fits = wanted[i] == 0 || made.shape[i] == wanted[i];
  }
  if (!fits) throw Misfit("its input has a wrong shape");
  return made;
}

float* output(OrtKernelContext* context, size_t index, const std::vector<int64_t>& shape) {
  OrtValue* value = nullptr;
  check(api->KernelContext_GetOutput(context, index, shape.data(), shape.size(), &value));
  void* data = nullptr;
  check(api->GetTensorMutableData(value, &data));
  return static_cast<float*>(data);
}

// A node of a graph, while its kernel is created.
class Node {
 public:
  explicit Node(const OrtKernelInfo* info) : info_(info) {
    const int64_t format = number("format");
    if (format != FORMAT) {
      throw Misfit("the graph has format " + std::to_string(format) + ", this library " +
                   std::to_string(FORMAT) + ": build the graphs again with the Aurum that serves");
    }
  }

  int64_t number(const char* name) const {
    int64_t value = 0;
    check(api->KernelInfoGetAttribute_int64(info_, name, &value));
    return value;
  }

  float fraction(const char* name) const {
    float value = 0;
    check(api->KernelInfoGetAttribute_float(info_, name, &value));
    return value;
  }

  std::vector<float> fractions(const char* name) const {
    return values<float>(api->KernelInfoGetAttributeArray_float, name);
  }

  std::vector<int64_t> numbers(const char* name) const {
    return values<int64_t>(api->KernelInfoGetAttributeArray_int64, name);
  }

  View weights(size_t index) const {
    int constant = 0;
    const OrtValue* value = nullptr;
    check(api->KernelInfoGetConstantInput_tensor(info_, index, &constant, &value));
    if (!constant) throw Misfit("its weights must be initializers");
    return view(value);
  }

 private:
  template <class Number, class Get>
  std::vector<Number> values(Get get, const char* name) const {
    size_t count = 0;
    check(get(info_, name, nullptr, &count));
    std::vector<Number> made(count);
    check(get(info_, name, made.data(), &count));
    return made;
  }

  const OrtKernelInfo* info_;
};

struct YuNet {
  static constexpr const char* NAME = "YuNet";
  static constexpr std::array INPUTS{ORT_TYPE_UINT8, ORT_TYPE_FLOAT};
  static constexpr size_t OUTPUTS = 3;

  explicit YuNet(const Node& node)
      : detector(options(node), floats(node), node.weights(1).count()) {}

  static yunet::Options options(const Node& node) {
    return {static_cast<int>(node.number("middle")), node.number("shared") != 0,
            static_cast<int>(node.number("least")), node.fraction("sure"),
            node.number("longest_side")};
  }
  static const float* floats(const Node& node) {
    return static_cast<const float*>(node.weights(1).data);
  }

  void compute(OrtKernelContext* context) {
    const View photos = input(context, {0, 3, 0, 0});
    const int64_t batch = photos.shape[0];
    detector.run(static_cast<const uint8_t*>(photos.data), batch, photos.shape[2], photos.shape[3],
                 [&](int64_t k) {
                   return yunet::Candidates{output(context, 0, {batch, k, 4}),
                                            output(context, 1, {batch, k, 5, 2}),
                                            output(context, 2, {batch, k})};
                 });
  }

  yunet::Detector detector;
};

struct YuNetSecondLook {
  static constexpr const char* NAME = "YuNetSecondLook";
  static constexpr std::array INPUTS = YuNet::INPUTS;
  static constexpr size_t OUTPUTS = 2;

  explicit YuNetSecondLook(const Node& node)
      : look(YuNet::options(node), middle(node), YuNet::floats(node), node.weights(1).count()) {}

  static yunet::Middle middle(const Node& node) {
    yunet::Middle made{{}, node.fraction("near"), node.fraction("power")};
    const std::vector<float> expected = node.fractions("expected");
    if (expected.size() != yunet::POINTS * 2) throw Misfit("a face has five landmarks");
    std::copy(expected.begin(), expected.end(), made.expected[0]);
    return made;
  }

  void compute(OrtKernelContext* context) {
    const View crops = input(context, {0, 0, 0, 3});
    const int64_t count = crops.shape[0], side = crops.shape[1];
    if (crops.shape[2] != side) throw Misfit("its input has a wrong shape");
    float* const landmarks = output(context, 0, {count, yunet::POINTS, 2});
    look.run(static_cast<const uint8_t*>(crops.data), count, side, landmarks,
             output(context, 1, {count, 1}));
  }

  yunet::SecondLook look;
};

struct EdgeFace {
  static constexpr const char* NAME = "EdgeFace";
  static constexpr std::array INPUTS{ORT_TYPE_UINT8, ORT_TYPE_FLOAT, ORT_TYPE_INT8};
  static constexpr size_t OUTPUTS = 2;

  explicit EdgeFace(const Node& node)
      : embedder({node.numbers("channels"), node.numbers("blocks")},
                 static_cast<const float*>(node.weights(1).data), node.weights(1).count(),
                 static_cast<const int8_t*>(node.weights(2).data), node.weights(2).count()) {}

  void compute(OrtKernelContext* context) {
    const View crops = input(context, {0, edgeface::SIDE, edgeface::SIDE, 3});
    const int64_t count = crops.shape[0];
    float* const embeddings = output(context, 0, {count, edgeface::DIMENSIONS});
    embedder.run(static_cast<const uint8_t*>(crops.data), count, embeddings,
                 output(context, 1, {count, 1}));
  }

  edgeface::Embedder embedder;
};

// The description of an operator for onnxruntime.
template <class Kernel>
OrtCustomOp described() {
  OrtCustomOp op{};
  op.version = ORT_API_VERSION_OF_OPS;
  op.GetName = [](const OrtCustomOp*) { return Kernel::NAME; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) { return "CPUExecutionProvider"; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return Kernel::INPUTS.size(); };
  op.GetInputType = [](const OrtCustomOp*, size_t index) { return Kernel::INPUTS[index]; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) { return Kernel::OUTPUTS; };
  op.GetOutputType = [](const OrtCustomOp*, size_t) { return ORT_TYPE_FLOAT; };
  const auto required = [](const OrtCustomOp*, size_t) { return 0; };
  op.GetInputCharacteristic = op.GetOutputCharacteristic = op.GetInputMemoryType = required;
  op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi*, const OrtKernelInfo* info,
                         void** kernel) {
    return guarded(Kernel::NAME, ORT_FAIL, [&] { *kernel = new Kernel(Node(info)); });
  };
  op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
    return guarded(Kernel::NAME, ORT_INVALID_ARGUMENT,
                   [&] { static_cast<Kernel*>(kernel)->compute(context); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

// y = Identity(x), an ONNX file of 59 bytes.
constexpr char SMALLEST[] =
    "\010\010:1\012\022\012\001x\022\001y\042\010Identity:"
    "\000\022\001gZ\013\012\001x\022\006\012\004\010\001"
    "\022\000b\013\012\001y\022\006\012\004\010\001\022\000B\004\012\000\020\021";

// onnxruntime registers a domain in a process-wide table when the first session with it is created.
// If two sessions are created concurrently, as Triton does, both may try this, and one fails
// ("Trying to add a domain to DomainToVersion map"). A minimal first session is therefore created
// here, while all others wait. Its errors can be ignored.
void be_the_first(OrtCustomOpDomain* domain) {
  const auto fails = [](OrtStatus* status) {
    if (status != nullptr) api->ReleaseStatus(status);
    return status != nullptr;
  };
  OrtEnv* environment = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  if (!fails(api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "aurum", &environment)) &&
      !fails(api->CreateSessionOptions(&options)) &&
      !fails(api->SetIntraOpNumThreads(options, 1)) &&
      !fails(api->AddCustomOpDomain(options, domain))) {
    fails(
        api->CreateSessionFromArray(environment, SMALLEST, sizeof SMALLEST - 1, options, &session));
  }
  if (session != nullptr) api->ReleaseSession(session);
  if (options != nullptr) api->ReleaseSessionOptions(options);
  if (environment != nullptr) api->ReleaseEnv(environment);
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  static const OrtCustomOp all[] = {described<YuNet>(), described<YuNetSecondLook>(),
                                    described<EdgeFace>()};
  static std::mutex one_at_a_time;  // Triton loads models concurrently
  const std::lock_guard lock(one_at_a_time);
  if (api == nullptr) api = base->GetApi(ORT_API_VERSION_OF_OPS);
  if (api == nullptr) {
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "aurum's operators need onnxruntime 1.16");
  }
  // Sessions use the domain as long as they live, so it is never released.
  static OrtCustomOpDomain* domain = nullptr;
  return guarded("RegisterCustomOps", ORT_FAIL, [&] {
    if (domain == nullptr) {
      OrtCustomOpDomain* made = nullptr;
      check(api->CreateCustomOpDomain("aurum", &made));
      for (const OrtCustomOp& op : all) check(api->CustomOpDomain_Add(made, &op));
      be_the_first(made);
      domain = made;
    }
    check(api->AddCustomOpDomain(options, domain));
  });
}

// The kernels that run on this machine, for `aurum up` and `aurum doctor`; empty: none.
EXPORTED const char* aurum_kernels() { return name_of(cpu()); }
