/* SPDX-License-Identifier: MIT */
#include "store/store.h"
#include "tap.h"
static void f(void);static void f(void){ok(1);}
int main(void){RUN(f);
 struct err e={0}; struct store*s; struct store_writer*w; struct store_reader*r;
 setenv("WSLX_HOME","/tmp/st/home",1);
 if(store_open(NULL,NULL,&s,&e)<0){puts(e.text);return 1;}
 struct store_options o={.replace=true};
 if(store_writer_begin(s,"proc",&o,&w,&e)<0){puts(e.text);return 1;}
 static uint8_t d[100*4096]; for(size_t i=0;i<sizeof d;i++) d[i]=(uint8_t)(i/4096%3?rand():0);
 struct page_sink*k=store_writer_sink(w);
 if(k->write(k,d,100,&e)<0) puts(e.text);
 if(store_writer_commit(w,"a",SPAN("\xa0",1),NULL,&e)<0) puts(e.text);
 store_writer_close(w);
 if(store_reader_open(s,"a",&r,&e)<0){puts(e.text);return 1;}
 static uint8_t x[100*4096]; struct page_source*q=store_reader_source(r);
 if(q->read(q,0,100,x,&e)<0) puts(e.text);
 printf("%d %lu %lu\n",memcmp(x,d,sizeof d),q->n_pages,store_reader_meta(r)->stored_bytes);
 store_reader_close(r); store_close(s);
}
