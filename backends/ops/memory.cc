#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace {

// A 640x640 photo needs 4 MB.
constexpr size_t MOST_KEPT = size_t{8} << 20;

std::byte* aligned(size_t count) {
  const size_t whole = (count + SLACK + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  void* const made = std::aligned_alloc(CACHE_LINE, whole);
  if (made == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(made);
}

}  // namespace

void Arena::Free::operator()(void* piece) const { std::free(piece); }

void* Arena::bytes(size_t count) {
  pieces_.emplace_back(aligned(count));
  std::memset(pieces_.back().get(), 0, count + SLACK);
  return pieces_.back().get();
}

Scratch::Loan::Loan(Scratch& owner, size_t byte_size) : owner_(owner) {
  {
    const std::lock_guard lock(owner_.mutex_);
    if (!owner_.idle_.empty()) {
      piece_ = owner_.idle_.back();
      owner_.idle_.pop_back();
    }
  }
  if (piece_.byte_size >= byte_size) return;
  std::free(std::exchange(piece_, {}).data);
  piece_ = {aligned(byte_size), byte_size};
}

Scratch::Loan::~Loan() {
  if (piece_.byte_size <= MOST_KEPT) {
    try {
      const std::lock_guard lock(owner_.mutex_);
      owner_.idle_.push_back(piece_);
      return;
    } catch (const std::bad_alloc&) {  // the list can't grow: free the piece instead
    }
  }
  std::free(piece_.data);
}

Scratch::~Scratch() {
  for (const Loan::Piece& piece : idle_) std::free(piece.data);
}
