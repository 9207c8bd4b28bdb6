#!/bin/bash
# A loop with a pipeline in it: one line a round, none twice, none missing.
for ((i = 1; i <= $1; i++)); do
	printf '%s\n' "$i" $((i * i)) | sed 's/$/!/' | tail -n 1 >>lines
done
echo "done $i" >>lines
