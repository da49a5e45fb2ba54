from benchmarks.kernels import main

main()
