// The part of onnxruntime's C API that our backend and our operators (backends/ops) call. The wheel
// does not include its header (onnxruntime_c_api.h of github microsoft/onnxruntime). All functions
// are in one table, whose entries never move and are never removed, so their positions are as
// stable as names.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct OrtAllocator;
struct OrtCustomOp;
struct OrtCustomOpDomain;
struct OrtEnv;
struct OrtKernelContext;
struct OrtKernelInfo;
struct OrtMemoryInfo;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;

// The first version with all functions that the backend calls, and the first one with all functions
// that operators call and with errors returned from operators.
constexpr uint32_t ORT_API_VERSION = 7;
constexpr uint32_t ORT_API_VERSION_OF_OPS = 16;
constexpr int ORT_LOGGING_LEVEL_WARNING = 2;
constexpr int ORT_PARALLEL = 1;
constexpr int ORT_ENABLE_BASIC = 1;
constexpr int ORT_ARENA_ALLOCATOR = 1;
constexpr int ORT_MEM_TYPE_DEFAULT = 0;
constexpr int ORT_FAIL = 1;
constexpr int ORT_INVALID_ARGUMENT = 2;
constexpr int ORT_TYPE_FLOAT = 1;
constexpr int ORT_TYPE_UINT8 = 2;
constexpr int ORT_TYPE_INT8 = 3;

struct OrtApi {
  using Skipped = void*;

  OrtStatus* (*CreateStatus)(int code, const char* message);  // 0
  Skipped skipped_1;
  const char* (*GetErrorMessage)(const OrtStatus*);  // 2
  OrtStatus* (*CreateEnv)(int level, const char* name, OrtEnv**);
  Skipped skipped_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*,
                              OrtSession**);  // 7
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv*, const void* model, size_t byte_size,
                                       const OrtSessionOptions*, OrtSession**);
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names,
                    const OrtValue* const* inputs, size_t input_count,
                    const char* const* output_names, size_t output_count, OrtValue** outputs);  // 9
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  Skipped skipped_11[2];
  OrtStatus* (*SetSessionExecutionMode)(OrtSessionOptions*, int mode);  // 13
  Skipped skipped_14[3];
  OrtStatus* (*DisableMemPattern)(OrtSessionOptions*);  // 17
  Skipped skipped_18;
  OrtStatus* (*DisableCpuMemArena)(OrtSessionOptions*);  // 19
  Skipped skipped_20[3];
  OrtStatus* (*SetSessionGraphOptimizationLevel)(OrtSessionOptions*, int level);  // 23
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int threads);
  OrtStatus* (*SetInterOpNumThreads)(OrtSessionOptions*, int threads);
  OrtStatus* (*CreateCustomOpDomain)(const char* name, OrtCustomOpDomain**);
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain*, const OrtCustomOp*);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions*, OrtCustomOpDomain*);
  OrtStatus* (*RegisterCustomOpsLibrary)(OrtSessionOptions*, const char* path,
                                         void** handle);  // 29
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, size_t*);
  Skipped skipped_32[4];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char**);  // 36
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  Skipped skipped_38[11];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t byte_size,
                                               const int64_t* shape, size_t dims, int type,
                                               OrtValue**);  // 49
  Skipped skipped_50;
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);  // 51
  Skipped skipped_52;
  OrtStatus* (*GetStringTensorDataLength)(const OrtValue*, size_t*);  // 53
  OrtStatus* (*GetStringTensorContent)(const OrtValue*, void* text, size_t byte_size,
                                       size_t* offsets, size_t offset_count);
  Skipped skipped_55[5];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, int*);  // 60
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t);
  Skipped skipped_63[2];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);  // 65
  Skipped skipped_66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo**);  // 69
  Skipped skipped_70[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);  // 76
  Skipped skipped_77;
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);  // 78
  Skipped skipped_79[6];
  OrtStatus* (*KernelInfoGetAttribute_float)(const OrtKernelInfo*, const char* name, float*);  // 85
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo*, const char* name, int64_t*);
  Skipped skipped_87[3];
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext*, size_t index,
                                       const OrtValue**);  // 90
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext*, size_t index, const int64_t* shape,
                                        size_t dims, OrtValue**);
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);  // 93
  Skipped skipped_94;
  void (*ReleaseSession)(OrtSession*);  // 95
  void (*ReleaseValue)(OrtValue*);
  Skipped skipped_97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);  // 99
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
  Skipped skipped_101[29];
  OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions*, const char* key,
                                      const char* value);  // 130
  Skipped skipped_131[31];
  OrtStatus* (*KernelInfoGetAttributeArray_float)(const OrtKernelInfo*, const char* name,
                                                  float* values, size_t* count);  // 162
  OrtStatus* (*KernelInfoGetAttributeArray_int64)(const OrtKernelInfo*, const char* name,
                                                  int64_t* values, size_t* count);
  Skipped skipped_164[85];
  OrtStatus* (*KernelInfoGetConstantInput_tensor)(const OrtKernelInfo*, size_t index,
                                                  int* is_constant, const OrtValue**);  // 249
};

// A custom operator, as its library describes it. Only the fields that existed in `version` are
// read.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t index);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t index);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*,
                               void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  void* after[8];  // fields of later versions
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

const OrtApiBase* OrtGetApiBase();
}
