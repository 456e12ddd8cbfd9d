/* The one way to libfuse: its low-level API as of 3.14. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
