// SPDX-License-Identifier: MIT
package main

import (
	"fmt"
	"sync"
	"time"
)

func main() {
	var mutex sync.Mutex
	kept := map[int][]byte{}
	for g := 0; g < 20; g++ {
		go func(g int) {
			for i := 0; ; i++ {
				mutex.Lock()
				kept[g*1000+i%1000] = make([]byte, 1000)
				mutex.Unlock()
				time.Sleep(time.Millisecond)
			}
		}(g)
	}
	for n := 0; ; n++ {
		fmt.Println(n)
		time.Sleep(20 * time.Millisecond)
	}
}
