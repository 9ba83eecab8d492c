// Memory for weights and intermediate results, aligned to cache lines. Nothing is allocated during
// a run.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

constexpr size_t CACHE_LINE = 64;
// Padding after each piece: a load of a whole vector may read that far beyond its end.
constexpr size_t SLACK = 2 * CACHE_LINE;

// Pieces of memory that live as long as the arena.
class Arena {
 public:
  // `count` numbers, all zero.
  template <class Number>
  Number* take(size_t count) {
    return static_cast<Number*>(bytes(count * sizeof(Number)));
  }

 private:
  struct Free {
    void operator()(void* piece) const;
  };
  void* bytes(size_t count);

  std::vector<std::unique_ptr<void, Free>> pieces_;
};

// A pool of scratch memory for the runs of one kernel: one piece for each concurrent run. A piece
// is kept for the next run unless it is so large that only rare photos need it.
class Scratch {
 public:
  class Loan {
   public:
    Loan(Scratch& owner, size_t byte_size);
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    std::byte* data() const { return piece_.data; }

   private:
    friend class Scratch;
    Scratch& owner_;
    struct Piece {
      std::byte* data = nullptr;
      size_t byte_size = 0;
    } piece_;
  };

  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

 private:
  std::mutex mutex_;
  std::vector<Loan::Piece> idle_;
};
