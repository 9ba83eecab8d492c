// A small ONNX Runtime backend of Triton for CPUs, because the embedded server comes without one.
//
// Like NVIDIA's backend, it runs in tritonserver's process and serves any `backend: "onnxruntime"`
// model, so that the same model repository runs here and in NVIDIA's container. It supports:
// - the file <repository>/<version>/<default_model_filename or model.onnx>;
// - batches formed by Triton's dynamic batcher;
// - in config.pbtxt, the `parameters` intra_op_thread_count, inter_op_thread_count, execution_mode
//   (0 sequential, 1 parallel), enable_mem_arena, enable_mem_pattern, `optimization { graph { level
//   } }` (-1 basic, otherwise all), and `model_operations { op_library_filename }`, libraries of
//   custom operators;
// - numeric tensors as inputs, numeric and string tensors as outputs.
// A request's parameter `cores`, "<first>-<last>", selects the cores that compute it, so that a
// photo stays on the core of the process that works on it. If the graph fails on a batch, each of
// its requests is run again on its own, so that one request can't make others fail.

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <set>

#include "graph.h"
#include "request.h"
#include "triton_api.h"

namespace {

using nlohmann::json;

uint64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

json config_of(TRITONBACKEND_Model* model) {
  TRITONSERVER_Message* message = nullptr;
  check(TRITONBACKEND_ModelConfig(model, 1, &message));
  const std::unique_ptr<TRITONSERVER_Message, void (*)(TRITONSERVER_Message*)> owned(
      message, [](TRITONSERVER_Message* message) { check(TRITONSERVER_MessageDelete(message)); });
  const char* text = nullptr;
  size_t length = 0;
  check(TRITONSERVER_MessageSerializeToJson(message, &text, &length));
  return json::parse(text, text + length);
}

std::string path_of(TRITONBACKEND_Model* model, const json& config) {
  const char* folder = nullptr;
  int kind = 0;
  uint64_t version = 0;
  check(TRITONBACKEND_ModelRepository(model, &kind, &folder));
  check(TRITONBACKEND_ModelVersion(model, &version));
  const std::string name = config.value("default_model_filename", "");
  return std::string(folder) + "/" + std::to_string(version) + "/" +
         (name.empty() ? "model.onnx" : name);
}

Names named(const json& tensors) {
  Names names;
  for (const json& tensor : tensors) names.push_back(tensor.at("name"));
  return names;
}

std::string listed(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "[" : ", ") + name;
  return text + "]";
}

// One version of a model. Its instances share the graph and therefore its weights.
class Model {
 public:
  explicit Model(TRITONBACKEND_Model* model) {
    const json config = config_of(model);
    batches_ = config.value("max_batch_size", 0) > 0;
    outputs_ = named(config.at("output"));
    const std::string path = path_of(model, config);
    struct stat about;
    if (stat(path.c_str(), &about) != 0) throw Failure("no model file at " + path);
    try {
      graph_ = std::make_unique<Graph>(path, config);
    } catch (const std::exception& error) {
      throw Failure("can't load " + path + ": " + error.what());
    }
    // Otherwise a wrong model file would fail every request instead of the start.
    fits(path, "inputs", graph_->inputs(), named(config.at("input")), true);
    fits(path, "outputs", graph_->outputs(), outputs_, false);
  }

  // Answers all requests and releases them.
  void answer(TRITONBACKEND_ModelInstance* instance, std::deque<Request>& requests) const {
    const uint64_t start = now();
    std::vector<Request*> batch;
    for (Request& request : requests) {
      try {
        request.read(graph_->inputs());
        batch.push_back(&request);
      } catch (const std::exception& error) {
        refuse(instance, request, TRITONSERVER_ERROR_INTERNAL, error.what(), start);
      }
    }
    if (batches_ && batch.size() > 1) {
      try {
        return run(instance, batch, start);
      } catch (const std::exception&) {
        // At least one request is invalid: find out which.
      }
    }
    for (Request* request : batch) {
      try {
        run(instance, {request}, start);
      } catch (const std::exception& error) {
        refuse(instance, *request, TRITONSERVER_ERROR_INVALID_ARG,
               "the graph refused " + described(*request) + ": " + error.what(), start);
      }
    }
  }

 private:
  // Runs the graph once. If this throws Failure, no request has been answered.
  void run(TRITONBACKEND_ModelInstance* instance, const std::vector<Request*>& batch,
           uint64_t start) const {
    Times times{start, 0, 0, 0};
    std::deque<std::string> joined;
    const std::vector<Tensor> tensors =
        batch.size() == 1 ? batch[0]->tensors() : together(batch, joined);
    times.compute_start = now();
    const std::vector<Result> results = run_where_wanted(tensors, batch);
    times.compute_end = now();
    int64_t first = 0;
    for (Request* request : batch) {
      request->answer(outputs_, results, batches_ ? std::optional(first) : std::nullopt);
      first += request->rows();
    }
    times.end = now();
    for (Request* request : batch) request->release(instance, times);
    log(TRITONBACKEND_ModelInstanceReportBatchStatistics(
        instance, batches_ ? first : 1, start, times.compute_start, times.compute_end, times.end));
  }

  std::vector<Result> run_where_wanted(const std::vector<Tensor>& tensors,
                                       const std::vector<Request*>& batch) const {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (const Request* request : batch) {
      const cpu_set_t more = request->cores();
      CPU_OR(&cores, &cores, &more);
    }
    const OnCores here(cores);
    return graph_->run(tensors, outputs_);
  }

  // Concatenates the tensors of all requests. Triton's batcher only joins requests whose tensors
  // differ in their first axis alone.
  static std::vector<Tensor> together(const std::vector<Request*>& batch,
                                      std::deque<std::string>& joined) {
    std::vector<Tensor> tensors = batch[0]->tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      std::string& all = joined.emplace_back();
      for (const Request* request : batch) {
        const Tensor& part = request->tensors()[i];
        all.append(static_cast<const char*>(part.data), part.byte_size);
        if (request != batch[0]) tensors[i].shape.at(0) += part.shape.at(0);
      }
      tensors[i].data = all.data();
      tensors[i].byte_size = all.size();
    }
    return tensors;
  }

  static void refuse(TRITONBACKEND_ModelInstance* instance, Request& request, int code,
                     const std::string& message, uint64_t start) {
    request.fail(code, message);
    request.release(instance, {start, start, start, now()});
  }

  std::string described(const Request& request) const {
    std::string text = "inputs of shape";
    for (size_t i = 0; i < graph_->inputs().size(); ++i) {
      text += (i == 0 ? " " : ", ") + graph_->inputs()[i] + " " +
              json(request.tensors()[i].shape).dump();
    }
    return text;
  }

  static void fits(const std::string& path, const std::string& what, const Names& found,
                   const Names& wanted, bool exactly) {
    const std::set<std::string> have(found.begin(), found.end());
    const std::set<std::string> want(wanted.begin(), wanted.end());
    const bool all = std::includes(have.begin(), have.end(), want.begin(), want.end());
    if (!all || (exactly && have != want)) {
      throw Failure(path + " has " + what + " " + listed(found) + ", its configuration " +
                    listed(wanted));
    }
  }

  bool batches_ = false;
  Names outputs_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default"))) TRITONSERVER_Error*

// No exception leaves these functions: they return errors to Triton.
template <typename Work>
static TRITONSERVER_Error* guarded(Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, error.what());
  }
  return nullptr;
}

EXPORTED TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* model) {
  return guarded([&] {
    auto made = std::make_unique<Model>(model);
    check(TRITONBACKEND_ModelSetState(model, made.get()));
    made.release();
  });
}

EXPORTED TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* model) {
  return guarded([&] {
    void* state = nullptr;
    check(TRITONBACKEND_ModelState(model, &state));
    delete static_cast<Model*>(state);
  });
}

// Returning an error means that Triton still owns the requests, so it is returned only before any
// of them is answered.
EXPORTED TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                            TRITONBACKEND_Request** requests, uint32_t count) {
  return guarded([&] {
    TRITONBACKEND_Model* model = nullptr;
    void* state = nullptr;
    check(TRITONBACKEND_ModelInstanceModel(instance, &model));
    check(TRITONBACKEND_ModelState(model, &state));
    std::deque<Request> taken;
    for (uint32_t i = 0; i < count; ++i) taken.emplace_back(requests[i]);
    static_cast<const Model*>(state)->answer(instance, taken);
  });
}
