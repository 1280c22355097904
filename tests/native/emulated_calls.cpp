// Calls a library's C functions for a process outside of the emulator (emulator.py). It is told by
// standard input what to do, one command after the other, and answers on standard output:
//
//   a SIZE         allocates zeros; answers their address
//   f ADDRESS      frees them
//   w ADDRESS SIZE and as many bytes: writes them
//   r ADDRESS SIZE answers as many bytes
//   c LENGTH       and a function's name of that length and eight numbers: calls it; answers what it
//                  returns
//
// A command is a byte and two numbers of eight bytes. Numbers and addresses are all that the
// functions take, so that the first eight registers hold every argument.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using Number = uint64_t;
using Function = Number (*)(Number, Number, Number, Number, Number, Number, Number, Number);

void read_into(void* to, size_t size) {
  if (std::fread(to, 1, size, stdin) != size) std::exit(0);  // nobody is there any more
}

void answer(const void* from, size_t size) {
  std::fwrite(from, 1, size, stdout);
  std::fflush(stdout);
}

void* at(Number address) { return reinterpret_cast<void*>(address); }

Number call(void* library, size_t length) {
  std::string name(length, ' ');
  read_into(&name[0], length);
  Number x[8];
  read_into(x, sizeof(x));
  const auto function = reinterpret_cast<Function>(dlsym(library, name.c_str()));
  if (!function) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(3);
  }
  return function(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
}

}  // namespace

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  for (;;) {
    char command;
    Number numbers[2];
    read_into(&command, 1);
    read_into(numbers, sizeof(numbers));
    Number result;
    switch (command) {
      case 'a':
        result = reinterpret_cast<Number>(std::calloc(numbers[0] + 1, 1));
        answer(&result, sizeof(result));
        break;
      case 'f': std::free(at(numbers[0])); break;
      case 'w': read_into(at(numbers[0]), numbers[1]); break;
      case 'r': answer(at(numbers[0]), numbers[1]); break;
      default:
        result = call(library, numbers[0]);
        answer(&result, sizeof(result));
    }
  }
}
