// SPDX-License-Identifier: MIT
using System;
using System.Threading;
using System.Threading.Tasks;

class Count {
	static void Main() {
		for (int i = 0; i < 8; i++)
			Task.Run(() => { for (;;) { var garbage = new byte[10000]; Thread.Sleep(1); } });
		for (int n = 0;; n++) {
			Console.WriteLine(n);
			Console.Out.Flush();
			Thread.Sleep(20);
		}
	}
}
