// How many invocations share a workgroup.

override WORKGROUP_SIZE: u32 = 64u;
