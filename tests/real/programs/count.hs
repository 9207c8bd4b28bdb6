-- SPDX-License-Identifier: MIT
import Control.Concurrent
import Control.Monad
import System.IO

main :: IO ()
main = do
  hSetBuffering stdout LineBuffering
  forM_ [1 .. 10 :: Int] $ \_ -> forkIO $ forever $ do
    threadDelay 1000
    sum [1 .. 1000 :: Int] `seq` return ()
  forM_ [0 :: Int ..] $ \n -> print n >> threadDelay 20000
