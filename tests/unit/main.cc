// The main of every unit test program: runs all CppUTest groups linked into it.
// Leak detection is left to the address sanitizer, which sees through the standard library;
// CppUTest's own would count lazily made library singletons as leaks.
#include "CppUTest/CommandLineTestRunner.h"
#include "CppUTest/MemoryLeakWarningPlugin.h"

int main(int argc, char** argv) {
  MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
  return CommandLineTestRunner::RunAllTests(argc, argv);
}
