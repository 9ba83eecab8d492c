// Runs the kernels on random sizes, weights and pixels in several threads: fuzz SECONDS [SEED]. It
// is compiled with AddressSanitizer and UBSan (build.sh fuzzer), which abort it on invalid memory
// accesses. Wrong numbers of weights must be refused, and results must be finite and equal in all
// threads.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "../edgeface.h"
#include "../landmarks.h"

namespace {

using Random = std::mt19937;

int between(Random& random, int low, int high) {
  return std::uniform_int_distribution(low, high)(random);
}

std::vector<float> floats(Random& random, size_t count) {
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> made(count);
  for (float& value : made) value = normal(random);
  return made;
}

// In one photo of three, all pixels are black or white.
std::vector<uint8_t> pixels(Random& random, size_t count) {
  const bool extreme = between(random, 0, 2) == 0;
  std::vector<uint8_t> made(count);
  for (uint8_t& pixel : made) {
    const int value = between(random, 0, 255);
    pixel = extreme ? (value < 128 ? 0 : 255) : value;
  }
  return made;
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::exit(1);
}

// Finds the accepted number of weights by bisection: smaller numbers are refused as too few.
template <class Make>
size_t weights_of(Make make) {
  size_t low = 0, high = size_t{1} << 24;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    try {
      make(middle);
      return middle;
    } catch (const Misfit& misfit) {
      if (std::string(misfit.what()).find("too few") != std::string::npos) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
  }
  fail("no number of weights is taken");
}

template <class Run>
void by_several_threads(Run run) {
  std::vector<std::vector<float>> answers(3);
  std::vector<std::thread> threads;
  for (auto& answer : answers) threads.emplace_back([&] { answer = run(); });
  for (auto& thread : threads) thread.join();
  for (const auto& answer : answers) {
    if (answer != answers[0]) fail("two threads disagree");
    for (const float value : answer) {
      if (!std::isfinite(value)) fail("a number is not finite");
    }
  }
}

void detect(Random& random) {
  const yunet::Options options{between(random, 0, 1) ? 32 : 64, between(random, 0, 3) == 0,
                               between(random, 1, 300), 0.1f, 4096};
  const std::vector<float> none(size_t{1} << 24);
  const size_t count =
      weights_of([&](size_t wanted) { yunet::Detector(options, none.data(), wanted); });
  const auto weights = floats(random, count);
  yunet::Detector detector(options, weights.data(), count);
  for (int photo = 0; photo < 4; ++photo) {
    const int batch = between(random, 1, 3), height = 32 * between(random, 1, 12),
              width = 32 * between(random, 1, 12);
    const auto photos = pixels(random, size_t(batch) * 3 * height * width);
    by_several_threads([&] {
      std::vector<float> answer;
      detector.run(photos.data(), batch, height, width, [&](int k) {
        const size_t each = size_t(batch) * k;
        answer.resize(each * 15);
        return yunet::Candidates{answer.data(), answer.data() + each * 4,
                                 answer.data() + each * 14};
      });
      return answer;
    });
  }
}

void look_again(Random& random) {
  const yunet::Options options{between(random, 0, 1) ? 32 : 64, between(random, 0, 3) == 0, 1,
                               between(random, 0, 9) / 10.0f, 4096};
  const int side = 32 * between(random, 1, 5), count = between(random, 1, 9);
  yunet::Middle middle{{}, static_cast<float>(side), 8};
  for (auto& point : middle.expected) point[0] = point[1] = side / 2.0f;
  const std::vector<float> none(size_t{1} << 24);
  const size_t weight_count =
      weights_of([&](size_t wanted) { yunet::SecondLook(options, middle, none.data(), wanted); });
  const auto weights = floats(random, weight_count);
  yunet::SecondLook look(options, middle, weights.data(), weight_count);
  const auto crops = pixels(random, size_t(count) * side * side * 3);
  by_several_threads([&] {
    std::vector<float> answer(count * (yunet::POINTS * 2 + 1));
    look.run(crops.data(), count, side, answer.data(), answer.data() + count * yunet::POINTS * 2);
    return answer;
  });
}

void embed(Random& random) {
  edgeface::Options options;
  int channels = 4 * between(random, 4, 12);
  for (int stage = 0; stage < edgeface::STAGES; ++stage) {
    options.channels.push_back(channels);
    options.blocks.push_back(between(random, 0, 3));
    channels = std::min(edgeface::MOST_CHANNELS, channels + 4 * between(random, 0, channels / 4));
  }
  const bool whole = between(random, 0, 1) == 1;
  size_t whole_count = 0;
  for (int stage = 0; whole && stage < edgeface::STAGES; ++stage) {
    const int64_t c = options.channels[stage], mlps = options.blocks[stage] + (stage > 0);
    whole_count += 8 * c * c * mlps;
  }
  if (whole && whole_count == 0) return;
  std::vector<int8_t> numbers(whole_count);
  for (int8_t& number : numbers) number = between(random, -128, 127);
  const std::vector<float> none(size_t{1} << 24);
  const size_t count = weights_of([&](size_t wanted) {
    edgeface::Embedder(options, none.data(), wanted, numbers.data(), whole_count);
  });
  const auto weights = floats(random, count);
  edgeface::Embedder embedder(options, weights.data(), count, numbers.data(), whole_count);
  const int faces = between(random, 1, 11);
  const auto crops = pixels(random, size_t(faces) * edgeface::SIDE * edgeface::SIDE * 3);
  by_several_threads([&] {
    std::vector<float> answer(faces * (edgeface::DIMENSIONS + 1));
    embedder.run(crops.data(), faces, answer.data(), answer.data() + faces * edgeface::DIMENSIONS);
    return answer;
  });
}

}  // namespace

int main(int count, char** arguments) {
  const int seconds = count > 1 ? std::atoi(arguments[1]) : 60;
  const unsigned seed = count > 2 ? std::atoi(arguments[2]) : std::random_device()();
  if (cpu() == Cpu::plain) {
    std::puts("this processor runs none of the kernels");
    return 0;
  }
  std::printf("seed %u, %s\n", seed, name_of(cpu()));
  std::fflush(stdout);
  Random random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int rounds = 0;
  for (; std::chrono::steady_clock::now() < end; ++rounds) {
    detect(random);
    look_again(random);
    embed(random);
  }
  std::printf("%d rounds\n", rounds);
}
